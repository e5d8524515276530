"""The contract of every network: a trunk of named stages, then a head; over images or over series."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from svertka.errors import UserError, nearest
from svertka.layers.transfer import TransferHead


class StageGeometry(NamedTuple):
    """What leaves a stage: its number of channels and its stride in input pixels, or in samples of a series.

    The stride is None where the output has no spatial extent that grows with the input.
    """

    channels: int
    stride: int | None


class Trunk(nn.Sequential):
    """Named stages, one after another, from the image or series to the features that a head reads.

    "Freeze the first k stages", "show the maps of stage c3" and "feed U-Net from these strides" all follow from
    the names; channels and strides are computed from the stages, never written down.

    Args:
        stages: Stage by name, in order. Each maps ``(N, C, H, W)`` to ``(N, C', H', W')``, or to ``(N, C')``; over
            series, ``(N, C, T)`` to ``(N, C', T')``.
        in_channels: Number of channels of the images or series.
    """

    def __init__(self, stages: Mapping[str, nn.Module], *, in_channels: int) -> None:
        super().__init__()
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.in_channels = in_channels
        self.frozen = 0
        self.keeps_statistics = False
        self._shapes: dict[tuple[int, ...], dict[str, tuple[int, ...]]] = {}
        self._geometry: dict[tuple[int, ...], dict[str, StageGeometry]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stages, in order."""
        return tuple(name for name, _ in self.named_children())

    def freeze(self, stages: int) -> None:
        """Freeze the first ``stages`` stages: no gradient, and evaluation mode whatever `train` says.

        So neither their parameters nor their buffers, such as the statistics of a normalisation, ever change.
        """
        self.frozen = stages
        for number, stage in enumerate(self.children()):
            stage.requires_grad_(number >= stages)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode, or evaluation mode, for all stages that are not frozen.

        With ``keeps_statistics``, normalisations go on by the mean and variance they have, while their weights learn:
        those of a few small batches would be worse than those of a million images.
        """
        super().train(mode)
        for stage in list(self.children())[: self.frozen]:
            stage.eval()
        if self.keeps_statistics:
            for layer in self.modules():
                if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                    layer.eval()
        return self

    def depth(self, stage: str) -> int:
        """How many stages there are up to the one called ``stage``, it included.

        Raises:
            UserError: There is no such stage.
        """
        if stage not in self.names:
            raise UserError(f"the trunk has no stage {stage!r}", mend=nearest(stage, self.names))
        return self.names.index(stage) + 1

    def digests(self) -> dict[str, str]:
        """By stage, the SHA-256 over names, types, shapes and bytes of all parameters and buffers up to and with it."""
        total, found = hashlib.sha256(), {}
        for name, stage in self.named_children():
            for key, value in stage.state_dict().items():
                total.update(f"{name}.{key} {value.dtype} {list(value.shape)}\n".encode())
                total.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            found[name] = total.hexdigest()
        return found

    def pyramid(self, x: Tensor) -> dict[str, Tensor]:
        """The output of every stage by name, for inputs ``(N, in_channels, H, W)`` or ``(N, in_channels, T)``."""
        outputs = {}
        for name, stage in self.named_children():
            x = stage(x)
            outputs[name] = x
        return outputs

    def shapes(self, *spatial: int) -> dict[str, tuple[int, ...]]:
        """Shape of every stage's output for one input, without the batch axis.

        On the meta device nothing is calculated; else one input is run, which is quicker than to import what the
        meta device needs.

        Args:
            spatial: Height and width of the images, or length of the series.

        Raises:
            RuntimeError: The trunk cannot take inputs of this size.
        """
        if spatial not in self._shapes:
            on_meta = any(value.is_meta for value in self.parameters())
            found = self._probe(spatial) if on_meta else self._tried(spatial)
            self._shapes[spatial] = {name: tuple(x.shape[1:]) for name, x in found.items()}
        return self._shapes[spatial]

    def _tried(self, spatial: tuple[int, ...]) -> dict[str, Tensor]:
        training = self.training
        device = next((value.device for value in self.parameters()), None)
        try:
            with torch.inference_mode():
                return self.eval().pyramid(torch.zeros(1, self.in_channels, *spatial, device=device))
        finally:
            self.train(training)

    def channels(self, *spatial: int) -> dict[str, int]:
        """Number of channels of every stage's output, found at inputs of this size; see `shapes`."""
        return {name: shape[0] for name, shape in self.shapes(*spatial).items()}

    def geometry(self, *spatial: int) -> dict[str, StageGeometry]:
        """Channels and stride of every stage, at inputs of this size; see `shapes`.

        The stride is the ratio between how much larger the input and how much larger the map becomes, along the last
        axis, so that borders lost to unpadded convolutions do not count.
        """
        if spatial not in self._geometry:
            self._geometry[spatial] = self._measured(spatial)
        return self._geometry[spatial]

    def forget_shapes(self) -> None:
        """Forget what was found of shapes and strides: a stage has changed."""
        self._shapes.clear()
        self._geometry.clear()

    def _measured(self, spatial: tuple[int, ...]) -> dict[str, StageGeometry]:
        small = self._probe(spatial)
        grown = 1024
        try:
            large = self._probe(tuple(length + grown for length in spatial))
        except RuntimeError:  # A trunk for one size only, such as a perceptron.
            large = small
        result = {}
        for name, x in small.items():
            growth = large[name].shape[-1] - x.shape[-1] if x.ndim == 2 + len(spatial) else 0
            result[name] = StageGeometry(x.shape[1], round(grown / growth) if growth else None)
        return result

    def _probe(self, spatial: tuple[int, ...]) -> dict[str, Tensor]:
        inputs = torch.empty(2, self.in_channels, *spatial, device="meta")
        state = {name: value.to("meta") for name, value in [*self.named_parameters(), *self.named_buffers()]}
        with torch.no_grad(), _ShapesAlone():
            outputs: dict[str, Tensor] = torch.func.functional_call(_Pyramid(self), _prefixed(state), (inputs,))
        return outputs


class Classifier(nn.Module):
    """A trunk and a head that turns its features into logits, ``(N, classes)``.

    Args:
        trunk: The stages.
        head: Maps the last stage's output to ``(N, classes)``; or, if it has ``taps``, names of stages, the tuple
            of their outputs.
        classes: Number of classes.
    """

    def __init__(self, trunk: Trunk, head: nn.Module, *, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.classes = classes

    @property
    def in_channels(self) -> int:
        """Number of channels of the images or series."""
        return self.trunk.in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, classes)`` of images ``(N, in_channels, H, W)`` or series ``(N, in_channels, T)``, in training
        and in evaluation alike."""
        taps = getattr(self.head, "taps", None)
        if taps is None:
            logits: Tensor = self.head(self.trunk(x))
        else:
            outputs = self.trunk.pyramid(x)
            logits = self.head(tuple(outputs[name] for name in taps))
        return logits

    @property
    def output_names(self) -> tuple[str, ...]:
        """What `outputs` gives."""
        measured = isinstance(self.head, TransferHead) and self.head.distance is not None
        return ("logits", "distance") if measured else ("logits",)

    def outputs(self, x: Tensor) -> dict[str, Tensor]:
        """All that is said of images or series, as `forward` takes them, by name, as an exported graph gives it.

        Beside ``logits`` there is ``distance``, ``(N,)``, from the nearest class mean, if the head measures it.
        """
        head = self.head
        if not isinstance(head, TransferHead) or head.distance is None:
            return {"logits": self(x)}
        features = self.features(x)
        return {"logits": head.rule(features), "distance": head.distance(features)}

    def features(self, x: Tensor) -> Tensor:
        """What the rule of a `TransferHead` reads, ``(N, features)``; the network must have such a head."""
        assert isinstance(self.head, TransferHead)
        outputs = self.trunk.pyramid(x)
        return self.head.features([outputs[name] for name in self.head.taps])


class _Pyramid(nn.Module):
    # functional_call swaps parameters for a call of forward only; this makes pyramid that call.
    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.trunk.pyramid(x)


class _ShapesAlone(TorchFunctionMode):
    """Within, what changes no shape is left out: normalising and ReLU are most of the time on the meta device."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return args[0] if func in _KEEPS_SHAPE else func(*args, **(kwargs or {}))


_KEEPS_SHAPE = {F.batch_norm, F.relu, F.relu6, F.hardtanh}


def _prefixed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"trunk.{name}": value for name, value in state.items()}
