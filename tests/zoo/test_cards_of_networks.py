"""The card that training, adopting and timing write for a network is one that its model file is opened with."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch

from svertka.runtime.card import Card
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess
from svertka.zoo import modelfile, registry


@pytest.mark.parametrize("name", [record.name for record in registry.records()])
def test_the_card_of_every_network_suits_it(name: str) -> None:
    record = registry.record(name)
    constructor = record.constructor()
    arguments = {"classes": 3, "in_channels": record.channels}
    if "image_size" in inspect.signature(constructor).parameters:
        arguments["image_size"] = record.image_size
    with torch.device("meta"):
        net = registry.build_any(name, arguments)
    preprocess = Preprocess(
        height=record.image_size,
        width=record.image_size,
        channels=record.channels,
        fit=record.traits.fit,
        mean=(0,) * record.channels,
        std=(1,) * record.channels,
        margin=getattr(constructor, "margin", 0),
        regions=getattr(constructor, "regions", 0),
    )
    for task in record.tasks:
        card = Card(
            net=name,
            arguments=arguments,
            task=task,
            output=OutputSpec(classes=("a", "b", "c")),
            input=preprocess,
            licence="",
            provenance={},
            metrics={},
            golden=(),
            weights="",
        )
        modelfile._check_card(Path("model.safetensors"), net, card)
