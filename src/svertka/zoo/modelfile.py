"""The model file: one .safetensors with the weights and the card. Nothing in it can run."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from svertka.errors import UserError
from svertka.layers.net import Net
from svertka.layers.trunk import Classifier
from svertka.runtime.card import CARD_KEY, Card
from svertka.runtime.files import replacing
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.safetensors import Header, Serialised, read_header
from svertka.task_records.record import record as task_record
from svertka.zoo import registry
from svertka.zoo.records import NetRecord
from svertka.zoo.tensors import DTYPE_NAMES, check_plain, read_tensors, tensor_bytes
from svertka.zoo.trial import has_one_axis, trial_problems

_CARD_DIGEST_KEY = "svertka.card.sha256"


def save_model(path: Path, tensors: Mapping[str, Tensor], card: Card) -> Card:
    """Write weights and card to ``path``, whole or not at all: what `load_model` would refuse is not written.

    Args:
        path: Where to.
        tensors: State of the network, parameters and buffers by name.
        card: The card; its ``weights`` is filled in.

    Returns:
        The card as it was written.

    Raises:
        UserError: A weight is not finite, or the file cannot be written.
    """
    for name, tensor in tensors.items():
        check_plain(name, tensor, where=path)
    serialised = Serialised.of({name: tensor_bytes(tensor) for name, tensor in tensors.items()})
    card = dataclasses.replace(card, weights=serialised.digest())
    text = card.to_json()
    with replacing(path) as file:
        serialised.write(file, {CARD_KEY: text, _CARD_DIGEST_KEY: _text_digest(text)})
    return card


def read_card(path: Path) -> Card:
    """The card of a model file, checked, without its weights.

    Raises:
        UserError: The file is missing, truncated, damaged, a pickle, or of another version.
    """
    return _card(path, read_header(path))


def load_classifier(path: Path) -> tuple[Classifier, Card]:
    """`load_model`, where the network is to have a head.

    Raises:
        UserError: As `load_model`, or the network is no classifier.
    """
    net, card = load_model(path)
    if not isinstance(net, Classifier):
        found = registry.record(card.net).traits.gives
        raise UserError(f"{card.net} finds {found} and is no classifier", where=path)
    return net, card


def load_model(path: Path) -> tuple[Net, Card]:
    """The network of a model file, in evaluation mode on the processor, and its card.

    Every name, shape and type is compared with the network that the card names, and the digest with the bytes,
    before a weight is used.

    Raises:
        UserError: As `read_card`; or the weights do not belong to the network or the card.
    """
    header = read_header(path)
    card = _card(path, header)
    _check_known(path, card)
    try:
        with torch.device("meta"):
            net = registry.build_any(card.net, card.arguments)
    except UserError as error:
        raise UserError(f"its card names no network of this release: {error}", where=path) from error
    _compare(path, header, net.state_dict())
    _check_card(path, net, card)
    weights, digest = read_tensors(path, header)
    if digest != card.weights:
        raise UserError("its weights are not those its card was written for", where=path, mend="get it again")
    for name, tensor in weights.items():
        check_plain(name, tensor, where=path)
    net.load_state_dict(weights, assign=True)
    return net.eval(), card


def _card(path: Path, header: Header) -> Card:
    text = header.metadata.get(CARD_KEY)
    if text is None:
        raise UserError("it has weights but no card, so it was not written by svertka", where=path)
    if header.metadata.get(_CARD_DIGEST_KEY) != _text_digest(text):
        raise UserError("its card was altered", where=path, mend="get it again")
    return Card.from_json(text, where=path)


def _check_known(path: Path, card: Card) -> None:
    # Before anything is built. What is not here is never looked for: a file does not say what is imported.
    trunk = card.arguments.get("trunk")
    below = [trunk["net"]] if isinstance(trunk, Mapping) and isinstance(trunk.get("net"), str) else []
    try:
        for net in (card.net, *below):
            registry.record(net, card.provenance)
        task_record(card.task, card.provenance)
    except UserError as error:
        raise UserError(
            f"its card names what is not installed here: {error.what}", where=path, mend=error.mend
        ) from error


def _check_card(path: Path, net: Net, card: Card) -> None:
    # Before a weight is read or an input made: the sizes on a card are those of a network, or they are none.
    record = registry.record(card.net)
    named, built = len(card.classes), getattr(net, "classes", 0)  # a kind that a plug-in brings may know none
    problems = [] if named == built else [f"classes {named:,}, not {built:,}"]
    if isinstance(card.input, Preprocess):
        problems += _image_problems(record, net, card, card.input)
    if card.task not in record.tasks:
        problems.append(f"the task {card.task!r}, not {' or '.join(record.tasks)}")
    if card.reject_limit is not None and "distance" not in net.output_names:
        problems.append("a limit of distances, of which it has none")
    # What images need of a network of the catalogue is known of its record, without the time that a trial takes.
    if not problems and (card.media != "image" or has_one_axis(net)):
        problems = trial_problems(net, card)
    if problems:
        raise UserError(f"its card does not suit {card.net}: {and_more(problems)}", where=path, mend="get it again")


def _image_problems(record: NetRecord, net: Net, card: Card, preprocess: Preprocess) -> list[str]:
    built = card.arguments.get("image_size", record.image_size) if record.one_size else None
    wanted = {
        "channels": (preprocess.channels, net.in_channels),
        "margin": (preprocess.margin, record.margin),
        "regions": (preprocess.regions, record.regions),
        "height": (preprocess.height, built or preprocess.height),
        "width": (preprocess.width, built or preprocess.width),
    }
    problems = [f"{name} {said:,}, not {own:,}" for name, (said, own) in wanted.items() if said != own]
    if (preprocess.fit == "whole") != (record.traits.fit == "whole"):
        problems.append(f"images fitted by {preprocess.fit!r}")
    for side in {preprocess.height, preprocess.width} if not problems else ():
        try:
            registry.check_side(record, side)
        except UserError as error:
            problems.append(error.what)
    return problems


def _compare(path: Path, header: Header, expected: Mapping[str, Tensor]) -> None:
    problems = [f"{name} is missing" for name in sorted(expected.keys() - header.tensors.keys())]
    problems += [f"{name} is not part of the network" for name in sorted(header.tensors.keys() - expected.keys())]
    for name in sorted(expected.keys() & header.tensors.keys()):
        entry, tensor = header.tensors[name], expected[name]
        want = (DTYPE_NAMES[tensor.dtype], tuple(tensor.shape))
        if (entry.dtype, entry.shape) != want:
            problems.append(f"{name} is {entry.dtype} {list(entry.shape)}, not {want[0]} {list(want[1])}")
    if problems:
        raise UserError(f"its weights do not fit the network its card names: {and_more(problems)}", where=path)


def and_more(problems: Sequence[str]) -> str:
    """The first problem, and how many there are beside it."""
    return problems[0] + (f" and {len(problems) - 1} more like it" if len(problems) > 1 else "")


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
