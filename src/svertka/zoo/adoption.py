"""A converted checkpoint is written as a model file of ours, with all that its card says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.runtime.card import Card, Golden
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.predictor import raw_outputs
from svertka.runtime.preprocess import Preprocess
from svertka.zoo import registry
from svertka.zoo.conversion import Converted
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import save_model


def write_model(
    target: Path,
    converted: Converted,
    *,
    classes: Sequence[str],
    preprocess: Preprocess,
    licence: str,
    provenance: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Card:
    """Write a converted checkpoint as a model file, with golden inputs that show nobody's pictures.

    Args:
        target: Where to.
        converted: Network and weights.
        classes: Class names in the order of the logits.
        preprocess: How an image becomes an input.
        licence: Of the weights.
        provenance: Where they come from.
        metrics: What is published of them.

    Returns:
        The card as it was written.

    Raises:
        UserError: The network makes no finite numbers of them, or the file cannot be written.
    """
    with torch.device("meta"):
        net = registry.build_any(converted.net, converted.arguments)
    net.load_state_dict(converted.state, assign=True)
    engine = TorchEngine(net)
    golden = tuple(
        Golden(image, {name: value[0] for name, value in raw_outputs(engine, preprocess, [image]).items()})
        for image in _patterns()
    )
    if not all(np.isfinite(output).all() for item in golden for output in item.outputs.values()):
        raise UserError(
            "its weights give outputs that are not finite (NaN or infinite)",
            where=provenance.get("file", target),
            mend="a running variance below zero does so, for instance",
        )
    card = Card(
        net=converted.net,
        arguments=converted.arguments,
        task=registry.record(converted.net).tasks[0],
        input=preprocess,
        output=OutputSpec(classes=tuple(classes)),
        licence=licence,
        provenance={"source": converted.source, **provenance},
        metrics=metrics,
        golden=golden,
        weights="",
    )
    return save_model(target, converted.state, card)


def _patterns() -> list[NDArray[np.uint8]]:
    # Waves of three colours, of several sizes and proportions.
    images = []
    for number, (height, width) in enumerate(((48, 64), (64, 48), (40, 40))):
        y, x = np.mgrid[0:height, 0:width]
        waves = [np.sin((x * (colour + 1) + y * (number + 1)) / (3 + 2 * colour + number)) for colour in range(3)]
        images.append(np.round(127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8))
    return images
