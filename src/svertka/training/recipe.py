"""The recipe: every choice of a training run. It is saved with the run, and can be given back."""

from __future__ import annotations

import dataclasses
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from svertka.errors import UserError, nearest
from svertka.runtime.cores import MOST_THREADS
from svertka.signatures import checked_class
from svertka.spelling import names_of, seconds_of
from svertka.task_records.record import of_contract

Optimizer = Literal["sgd", "momentum", "nesterov", "adam", "adamw"]
Schedule = Literal["constant", "step", "cosine", "one_cycle", "plateau"]
Precision = Literal["auto", "fp32", "bf16"]
Layout = Literal["auto", "channels_first", "channels_last"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Head = Literal["linear", "svm", "kernel_svm", "means", "mlp", "own"]
Engine = Literal["auto", "openvino", "openvino_bf16", "onnxruntime", "pytorch"]
Balance = Literal["none", "weights"]
Loss = Literal["cross_entropy", "dice", "focal"]

Option = str | int | float | bool


@checked_class
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every field is a flag of ``svertka train`` and a key of the recipe's TOML.

    Attributes:
        net: Network by its registry name; ``auto`` is that of the weights, or ``lenet5``.
        weights: Trained weights to begin from: a network with published weights, a model file, or a run's folder.
        head: What is put on trained stages: ``linear`` (multinomial logistic regression), ``svm``, ``kernel_svm``,
            ``means`` (nearest class mean), ``mlp`` (a hidden layer), or ``own``, the network's.
        taps: Stages whose means over all positions the head reads: ``auto`` (the last two thirds of them), ``last``,
            or their names.
        freeze: Stages that stay as the weights have them, and so are run once an image: ``all``, ``none``, or all up
            to the one named here. Without ``all``, a head is fitted first, and the rest learns from there.
        views: What the frozen stages remember of an image: ``identity``, ``flip``, ``top_left``, ….
        engine: What runs the frozen stages of trained weights: ``openvino``, ``openvino_bf16``, ``onnxruntime``,
            ``pytorch``, or ``auto``: the fastest here that computes the same.
        balance: ``weights`` lets every class count alike, however few images it has; ``none``, every image.
        reject: Share of known images that may be refused as none of the classes, such as 0.01, so that images of
            something else are refused: those that are farther from every class, by what the head reads, than
            validation images are. 0 for no such answer.
        budget: Seconds within which the best model is sought, by what a short timing says can be done: with weights,
            from the head alone to the whole network, in place of ``freeze`` and ``epochs``; without, as many of the
            epochs as there is time for. 0 for no such limit.
        trunk: Network whose stages are put under one that takes any, such as ``unet``; those of the weights, if given.
        loss: What is learnt from masks: ``cross_entropy``, ``dice``, ``focal``, or several; the first two by default.
        border: Let pixels between two objects of a mask that nearly touch count for up to ten more.
        lr_decay: What the learning rate is multiplied with from each stage to the one before it, when trained
            stages go on learning.
        net_options: Constructor arguments of the network, such as ``activation`` or ``hidden``.
        epochs: Passes over the training images.
        batch: Images a step, over all processes.
        accumulate: Batches whose gradients are averaged before the weights move.
        optimizer: ``sgd``, ``momentum``, ``nesterov``, ``adam`` or ``adamw``.
        lr: Learning rate at its highest.
        momentum: Of ``momentum`` and ``nesterov``.
        schedule: How the learning rate changes: ``constant``, ``step``, ``cosine``, ``one_cycle``, ``plateau``.
        warmup: Epochs over which the learning rate rises at the start; a fraction is allowed.
        step_epochs: Epochs between the falls of ``step``; also the patience of ``plateau``.
        step_factor: What the learning rate is multiplied with at each fall.
        weight_decay: L2 decay; not on biases and norms. Decoupled from the gradient with ``adamw``.
        l1: Weight of the L1 penalty; not on biases and norms.
        weight_elimination: Weight of the penalty (w²/w₀²)/(1 + w²/w₀²), which spares large weights.
        weight_elimination_scale: w₀ of that penalty.
        dropout: Share of outputs dropped, for networks that have dropout; the network's own if not given.
        label_smoothing: Share of the target spread over all classes.
        clip: Largest norm of the gradient; 0 for no limit.
        ema: Decay of the running mean of the weights that is evaluated and saved; 0 for the weights themselves.
        early_stop: Epochs without a better score after which training ends; 0 for never.
        augment: ``flip``, ``flip_vertical``, ``crop``, ``resized_crop``, ``affine``, ``rotation``, ``elastic``,
            ``colour``, ``randaugment``, ``erasing``, ``box_crop``, ``zoom_out``, in the order given; ``mosaic``,
            ``mixup``, ``cutmix``, always last; or ``none``.
        format: Format of the data set to insist on, such as ``voc``; by default, the data set is looked at.
        image_size: Side of the images in pixels; the network's own if not given, or with weights, at least half of it,
            what the images have.
        channels: 1 for grey, 3 for colour; the network's own if not given.
        val_fraction: Share of the training images held out where there is no validation folder; 0 for none.
        group: What images have in common that must not be divided, such as a person: a column of the CSV, or a regular
            expression on file names, whose first parentheses say it.
        split: A file that says the part of each image: the ``split.csv`` of another run.
        folds: Cross-validation in so many folds, each held out by a run of its own; 0 for none.
        fold: The one of these folds that is held out; 0 for all of them, one after another.
        seed: Of everything random.
        workers: Processes that prepare batches; 0 prepares them in the training process.
        precision: ``fp32``, ``bf16`` (autocast), or ``auto``: what a short timing finds faster.
        layout: Memory layout of images: ``channels_first``, ``channels_last`` or ``auto``.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        threads: Threads of PyTorch; 0 for one a core, or for one where a short timing finds that more gain little.
        save_every: Seconds between checkpoints; 0 saves after every step.
    """

    net: str = "auto"
    weights: str | None = None
    head: Head = "linear"
    taps: tuple[str, ...] = ("auto",)
    freeze: str = "all"
    views: tuple[str, ...] = ("identity",)
    engine: Engine = "auto"
    balance: Balance = "none"
    reject: float = 0.0
    budget: float = 0.0
    trunk: str | None = None
    loss: tuple[Loss, ...] = ()
    border: bool = False
    lr_decay: float = 0.8
    net_options: Mapping[str, Option] = field(default_factory=dict)
    epochs: int = 20
    batch: int = 64
    accumulate: int = 1
    optimizer: Optimizer = "adamw"
    lr: float = 0.003
    momentum: float = 0.9
    schedule: Schedule = "one_cycle"
    warmup: float = 0.0
    step_epochs: int = 5
    step_factor: float = 0.3
    weight_decay: float = 0.01
    l1: float = 0.0
    weight_elimination: float = 0.0
    weight_elimination_scale: float = 1.0
    dropout: float | None = None
    label_smoothing: float = 0.0
    clip: float = 0.0
    ema: float = 0.0
    early_stop: int = 0
    augment: tuple[str, ...] = ("crop",)
    format: str | None = None
    image_size: int | None = None
    channels: int | None = None
    val_fraction: float = 0.2
    group: str | None = None
    split: str | None = None
    folds: int = 0
    fold: int = 0
    seed: int = 0
    workers: int = 0
    precision: Precision = "auto"
    layout: Layout = "auto"
    device: Device = "auto"
    threads: int = 0
    save_every: float = 10.0

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            UserError: One is impossible.
        """
        for name in ("augment", "views", "taps", "loss"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, names_of(getattr(self, name)) or ("none",))
        for name in ("split", "weights"):
            if isinstance(getattr(self, name), os.PathLike):
                object.__setattr__(self, name, os.fspath(getattr(self, name)))
        object.__setattr__(self, "budget", seconds_of(self.budget))
        # A recipe may come from a TOML file, where anything can stand.
        for name, kind, wanted in _KINDS:
            if not isinstance(getattr(self, name), kind):
                raise _impossible(name, getattr(self, name), wanted)
        if not all(isinstance(name, str) for name in self.augment):
            raise _impossible("augment", self.augment, "a list of names")
        named = (name.strip() for names in self.augment for name in names.split(","))
        object.__setattr__(self, "augment", tuple(name for name in named if name not in ("none", "")))
        if not self.views or not all(isinstance(name, str) for name in self.views):
            raise _impossible("views", self.views, "a list of names, at least one")
        if not self.taps or not all(isinstance(name, str) for name in self.taps):
            raise _impossible("taps", self.taps, "a list of names, at least one")
        if not all(name in get_args(Loss) for name in self.loss):
            raise _impossible("loss", self.loss, f"some of {', '.join(get_args(Loss))}")
        object.__setattr__(self, "loss", tuple(dict.fromkeys(self.loss)))
        object.__setattr__(self, "views", tuple(dict.fromkeys(self.views)))
        object.__setattr__(self, "taps", tuple(dict.fromkeys(self.taps)))
        for name, wanted in _TEXTS:
            if not isinstance(getattr(self, name), str | None):
                raise _impossible(name, getattr(self, name), wanted)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise _impossible(name, value, "a number")
            if not low <= value <= high:
                limit = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
                raise _impossible(name, value, limit)
            if name in _WHOLE:
                if value != int(value):
                    raise _impossible(name, value, "a whole number")
                object.__setattr__(self, name, int(value))
        if self.folds == 1:
            raise _impossible("folds", self.folds, "at least 2, or 0")
        for name, kind in _CHOICES:
            if getattr(self, name) not in get_args(kind):
                raise _impossible(name, getattr(self, name), f"one of {', '.join(get_args(kind))}")

    def to_toml(self) -> str:
        """As TOML text; fields that are not given are left out."""
        import tomli_w

        values = dataclasses.asdict(self)
        return tomli_w.dumps({name: value for name, value in values.items() if value is not None})

    @classmethod
    def of(cls, values: Mapping[str, Any], *, kind: str = "classifier", media: str = "image") -> Recipe:
        """The recipe with these values, and the defaults for all else: with weights, those of fine-tuning.

        Args:
            values: Of some fields.
            kind: What kind of network it is; see `svertka.zoo.records.NetRecord`.
            media: What it takes; only images are augmented.

        Raises:
            UserError: A field is unknown or its value impossible.
        """
        learnt = next(iter(of_contract(kind, media)), None)
        own: Mapping[str, Any] = {}
        if learnt is not None:
            own = learnt.fine_tuning if values.get("weights") else learnt.from_scratch
        return cls().changed({} if media == "image" else {"augment": ()}).changed(own).changed(values)

    @classmethod
    def from_toml(cls, path: Path, *, net: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda _: {}) -> Recipe:
        """Read a recipe.

        Args:
            path: The file.
            net: Gives ``kind`` and ``media`` of the network of these values; see `of`.

        Raises:
            UserError: It is no TOML, has an unknown field, or an impossible value.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot be read ({error})", where=path) from error
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"not a recipe: {error}", where=path) from error
        try:
            return cls.of(values, **net(values))
        except UserError as error:
            raise UserError(error.what, where=path, mend=error.mend) from error

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        """A copy with some fields changed.

        Raises:
            UserError: A field is unknown or its value impossible.
        """
        known = [item.name for item in dataclasses.fields(self)]
        for name in values:
            if name not in known:
                raise UserError(f"a recipe has no field {name!r}", mend=nearest(name, known))
        return dataclasses.replace(self, **values)


_INF = math.inf
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("epochs", 1, _INF),
    ("batch", 1, _INF),
    ("accumulate", 1, _INF),
    ("lr", 1e-12, _INF),
    ("momentum", 0, 1),
    ("warmup", 0, _INF),
    ("step_epochs", 1, _INF),
    ("step_factor", 0, 1),
    ("weight_decay", 0, _INF),
    ("l1", 0, _INF),
    ("weight_elimination", 0, _INF),
    ("weight_elimination_scale", 1e-12, _INF),
    ("dropout", 0, 0.999),
    ("reject", 0, 0.5),
    ("budget", 0, _INF),
    ("lr_decay", 0.01, 1),
    ("label_smoothing", 0, 0.999),
    ("clip", 0, _INF),
    ("ema", 0, 0.999999),
    ("early_stop", 0, _INF),
    ("image_size", 1, 65535),
    ("channels", 1, 3),
    ("val_fraction", 0, 0.9),
    ("folds", 0, 1000),
    ("fold", 0, 1000),
    ("seed", -(2**62), 2**62),
    ("workers", 0, 256),
    ("threads", 0, MOST_THREADS),
    ("save_every", 0, _INF),
)
_WHOLE = (
    "epochs",
    "batch",
    "accumulate",
    "step_epochs",
    "early_stop",
    "image_size",
    "channels",
    "folds",
    "fold",
    "seed",
    "workers",
    "threads",
)
_KINDS: tuple[tuple[str, Any, str], ...] = (
    ("net", str, "the name of a network"),
    ("net_options", Mapping, "a table of options"),
    ("augment", list | tuple, "a list of names"),
    ("views", list | tuple, "a list of names"),
    ("taps", list | tuple, "a list of names"),
    ("loss", list | tuple, "a list of names"),
    ("border", bool, "true or false"),
    ("freeze", str, "all, none or the name of a stage"),
)
_TEXTS = (
    ("weights", "a name or a path"),
    ("format", "the name of a format"),
    ("group", "a column or a regular expression"),
    ("split", "a path"),
    ("trunk", "the name of a network"),
)
_OPTIONAL = ("dropout", "image_size", "channels")
_CHOICES = (
    ("optimizer", Optimizer),
    ("schedule", Schedule),
    ("precision", Precision),
    ("layout", Layout),
    ("device", Device),
    ("head", Head),
    ("engine", Engine),
    ("balance", Balance),
)


def _impossible(name: str, value: object, wanted: str) -> UserError:
    return UserError(f"{name.replace('_', '-')} is {value!r}", mend=f"it must be {wanted}")
