"""Why a served model says what it says: Grad-CAM of one image."""

from __future__ import annotations

from pathlib import Path

import torch

from svertka.explaining.gradcam import enlarged
from svertka.explaining.pictures import overlaid, rgb, share
from svertka.serving.models import Explain, Explanation, Image
from svertka.workflows.explaining.images import middle
from svertka.workflows.explaining.kinds import subject_of
from svertka.zoo.modelfile import load_model


def explaining(path: Path) -> Explain:
    """What explains images by the model file at ``path``; of whole images, their middle.

    Raises:
        UserError: The file is missing or damaged.
    """
    net, card = load_model(path)
    subject = subject_of(net, card)
    layer = subject.default_layer()
    module = subject.stages[layer]

    def explain(image: Image, target: str | None) -> Explanation:
        pixels = middle(subject.preprocess.place(image), *subject.size)
        images = torch.from_numpy(subject.preprocess.normalise(pixels[None]))
        named = None if target is None else subject.class_number(target)
        chosen = subject.target(subject.logits(images), named)
        maps = enlarged(subject.class_activation(net, module, chosen, images), subject.size)
        picture = subject.framed(overlaid(rgb(pixels), share(maps[0].numpy())), chosen, 0)
        return Explanation(card.classes[int(chosen.classes[0])], layer, picture)

    return explain
