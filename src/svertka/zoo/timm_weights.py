"""Weights of timm: what it publishes of a network, how its names become ours, and how its own loader fetches them."""

from __future__ import annotations

import functools
import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import get_args

import timm
from timm.data.imagenet_info import infer_imagenet_subset
from timm.models import PretrainedCfg

from svertka.errors import UserError
from svertka.runtime.preprocess import Interpolation
from svertka.zoo.checkpoints import Checkpoint
from svertka.zoo.download import is_offline
from svertka.zoo.published import WeightsRecord
from svertka.zoo.timm_family import PREFIX
from svertka.zoo.timm_nets import Parts, default_of, take_apart

_UNTAGGED = "default"
"""What weights are called that timm has no name for."""


@functools.cache
def catalogue_file(name: str) -> ModuleType:
    """What a file of the catalogue says of checkpoints, for timm's network ``name``: ``KEYS`` and ``WEIGHTS``.

    Raises:
        UserError: It cannot be taken apart.
    """
    file = ModuleType(f"{PREFIX}{name}")
    file.KEYS = {"timm": _rules(take_apart(name))}  # type: ignore[attr-defined]
    file.WEIGHTS = _published(name)  # type: ignore[attr-defined]
    return file


def _rules(parts: Parts) -> Sequence[tuple[str, str]]:
    places = [*((path, f"trunk.{stage}") for stage, paths in parts.stages.items() for path in paths)]
    places += [(path, "head") for path in parts.head]
    return tuple((rf"({re.escape(path)}\..+)", rf"{place}.\1") for path, place in places)


def _published(name: str) -> tuple[WeightsRecord, ...]:
    # The first is what timm itself would take.
    first = default_of(name).tag or ""
    found = timm.list_models(name, pretrained=True, include_tags=True)
    tags = sorted((entry.partition(".")[2] for entry in found), key=lambda tag: tag != first)
    cfgs = [(tag, timm.get_pretrained_cfg(_full(name, tag))) for tag in tags]
    return tuple(_weights(name, tag, cfg) for tag, cfg in cfgs if cfg is not None and cfg.num_classes)


def _weights(name: str, tag: str, cfg: PretrainedCfg) -> WeightsRecord:
    side = cfg.input_size[1]
    data = "imagenet" if cfg.num_classes == 1000 else infer_imagenet_subset(cfg) or ""
    return WeightsRecord(
        net=f"{PREFIX}{name}",
        name=tag or _UNTAGGED,
        source="timm",
        url=f"https://huggingface.co/{cfg.hf_hub_id}" if cfg.hf_hub_id else str(cfg.url),
        fetch=functools.partial(_fetch, name, tag),
        licence=cfg.license or "unknown",
        data=data,
        top1=None,
        image_size=side,
        shorter=math.floor(side / cfg.crop_pct),
        interpolation=next((kind for kind in get_args(Interpolation) if kind == cfg.interpolation), "bicubic"),
        mean=tuple(cfg.mean),
        std=tuple(cfg.std),
    )


def _fetch(name: str, tag: str) -> Checkpoint:
    """The weights ``tag`` of timm's network ``name``, by timm's own loader, which reads no pickles but of tensors.

    Raises:
        UserError: ``SVERTKA_OFFLINE`` is set, or timm cannot get them.
    """
    full = _full(name, tag)
    by_hand = f"svertka adopt FILE --net {PREFIX}{name} takes a file of them"
    if is_offline():
        raise UserError(f"{PREFIX}{full} is not here, and SVERTKA_OFFLINE forbids fetching it", mend=by_hand)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every retry; one line says how it ended
    try:
        net = timm.create_model(full, pretrained=True)
    except Exception as error:  # of the network, of its hub, of the file: each library raises its own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"timm cannot get the weights {full} ({reason})", mend=by_hand) from error
    return Checkpoint(Path(f"{PREFIX}{full}"), "pytorch", net.state_dict())


def _full(name: str, tag: str) -> str:
    return f"{name}.{tag}" if tag else name
