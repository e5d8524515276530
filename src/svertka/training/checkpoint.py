"""Checkpoints: everything a run needs to go on to the same bits. Safetensors and JSON; nothing in them can run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from svertka.errors import UserError
from svertka.runtime.files import replacing
from svertka.runtime.safetensors import Serialised, file_digest, read_header
from svertka.training.signals import STATE

_DIGEST = "svertka.digest"


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a run.

    Attributes:
        state: JSON values: where the run stands.
        tensors: Weights, optimiser state and averages by name.
    """

    state: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


class Checkpoints:
    """The newest two checkpoints of a run.

    Each is written to a temporary name, fsynced and renamed, after the one before it was renamed, so that at
    every moment there is a whole one. One that `load` found damaged never takes the place of a whole one.
    """

    def __init__(self, folder: Path, name: str = "checkpoint") -> None:
        self.newest = folder / f"{name}.safetensors"
        self.previous = folder / f"{name}.previous.safetensors"
        self._newest_is_whole = True

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint.

        Raises:
            UserError: The disk is full; what was saved before is untouched.
        """
        dense = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
        serialised = Serialised(safetensors.torch.save(dense))
        state = json.dumps(checkpoint.state)
        with replacing(self.newest, keep=self.previous if self._newest_is_whole else None) as file:
            serialised.write(file, {STATE: state, _DIGEST: _digest(state, serialised.digest())})
        self._newest_is_whole = True

    def load(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest whole checkpoint, or None; and a warning for each damaged one that was passed over."""
        warnings: list[str] = []
        for path in (self.newest, self.previous):
            if path.exists():
                try:
                    return _read(path), warnings
                except UserError as error:
                    warnings.append(f"{error.where}: {error.what}; it is passed over")
                    self._newest_is_whole = False
        if warnings:
            warnings.append("no checkpoint is whole; the run begins anew")
        return None, warnings


def _read(path: Path) -> Checkpoint:
    header = read_header(path)
    state = header.metadata.get(STATE, "")
    if header.metadata.get(_DIGEST) != _digest(state, file_digest(path, header)):
        raise UserError("the checkpoint is damaged", where=path)
    return Checkpoint(json.loads(state), safetensors.torch.load_file(path))


def _digest(state: str, tensors: str) -> str:
    return hashlib.sha256(f"{tensors} {state}".encode()).hexdigest()
