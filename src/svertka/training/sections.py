"""The sections of a recipe: each field with its limits beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from svertka.runtime.cores import MOST_THREADS
from svertka.spelling import seconds_of
from svertka.training.limits import Limited, names, number, one_of, steps, table, text, whole, yes_or_no

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


@dataclass(frozen=True, kw_only=True)
class DataSection(Limited):
    """What is learnt from, and how it is divided.

    Attributes:
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
    """

    format: str | None = text(None, "the name of a format")
    image_size: int | None = whole(None, 1, 65535)
    channels: int | None = whole(None, 1, 3)
    val_fraction: float = number(0.2, 0, 0.9)
    group: str | None = text(None, "a column or a regular expression")
    split: str | None = text(None, "a path")
    folds: int = whole(0, 0, 1000, but={1: "at least 2, or 0"})
    fold: int = whole(0, 0, 1000)


@dataclass(frozen=True, kw_only=True)
class ModelSection(Limited):
    """What learns: a network with random weights, or around trained ones.

    Attributes:
        task: What is learnt, by the name that cards have for it; ``auto`` is what the annotations ask for.
        net: Network by its registry name; ``auto`` is that of the weights, or ``lenet5``.
        net_options: Constructor arguments of the network, such as ``activation`` or ``hidden``.
        trunk: Network whose stages are put under one that takes any, such as ``unet``; those of the weights, if given.
        dropout: Share of outputs dropped, for networks that have dropout; the network's own if not given.
        weights: Trained weights to begin from: a network with published weights, a model file, or a run's folder.
        head: What is put on trained stages: ``linear`` (multinomial logistic regression), ``svm``, ``kernel_svm``,
            ``means`` (nearest class mean), ``mlp`` (a hidden layer), or ``own``, the network's.
        taps: Stages whose means over all positions the head reads: ``auto`` (the last two thirds of them), ``last``,
            or their names.
        freeze: Stages that stay as the weights have them, and so are run once an image: ``all``, ``none``, or all up
            to the one named here. Without ``all``, a head is fitted first, and the rest learns from there.
        reject: Share of known images that may be refused as none of the classes, such as 0.01, so that images of
            something else are refused: those that are farther from every class, by what the head reads, than
            validation images are. 0 for no such answer.
    """

    task: str = text("auto", "the name of a task")
    net: str = text("auto", "the name of a network")
    net_options: Mapping[str, Option] = table("a table of options")
    trunk: str | None = text(None, "the name of a network")
    dropout: float | None = number(None, 0, 0.999)
    weights: str | None = text(None, "a name or a path")
    head: Head = one_of("linear", Head)
    taps: tuple[str, ...] = names(("auto",), least=1)
    freeze: str = text("all", "all, none or the name of a stage")
    reject: float = number(0.0, 0, 0.5)


@dataclass(frozen=True, kw_only=True)
class OptimiserSection(Limited):
    """How it learns: for how long, in which steps, and against which penalties.

    Attributes:
        epochs: Passes over the training images.
        budget: Seconds within which the best model is sought, by what a short timing says can be done: with weights,
            from the head alone to the whole network, in place of ``freeze`` and ``epochs``; without, as many of the
            epochs as there is time for. 0 for no such limit.
        batch: Images a step, over all processes.
        accumulate: Batches whose gradients are averaged before the weights move.
        optimizer: ``sgd``, ``momentum``, ``nesterov``, ``adam`` or ``adamw``.
        lr: Learning rate at its highest.
        lr_decay: What the learning rate is multiplied with from each stage to the one before it, when trained
            stages go on learning.
        momentum: Of ``momentum`` and ``nesterov``.
        schedule: How the learning rate changes: ``constant``, ``step``, ``cosine``, ``one_cycle``, ``plateau``.
        warmup: Epochs over which the learning rate rises at the start; a fraction is allowed.
        step_epochs: Epochs between the falls of ``step``; also the patience of ``plateau``.
        step_factor: What the learning rate is multiplied with at each fall.
        weight_decay: L2 decay; not on biases and norms. Decoupled from the gradient with ``adamw``.
        l1: Weight of the L1 penalty; not on biases and norms.
        weight_elimination: Weight of the penalty (w²/w₀²)/(1 + w²/w₀²), which spares large weights.
        weight_elimination_scale: w₀ of that penalty.
        label_smoothing: Share of the target spread over all classes.
        balance: ``weights`` lets every class count alike, however few images it has; ``none``, every image.
        clip: Largest norm of the gradient; 0 for no limit.
        ema: Decay of the running mean of the weights that is evaluated and saved; 0 for the weights themselves.
        early_stop: Epochs without a better score after which training ends; 0 for never.
    """

    epochs: int = whole(20, 1)
    budget: float = number(0.0, 0, spelt=seconds_of)
    batch: int = whole(64, 1)
    accumulate: int = whole(1, 1)
    optimizer: Optimizer = one_of("adamw", Optimizer)
    lr: float = number(0.003, 1e-12)
    lr_decay: float = number(0.8, 0.01, 1)
    momentum: float = number(0.9, 0, 1)
    schedule: Schedule = one_of("one_cycle", Schedule)
    warmup: float = number(0.0, 0)
    step_epochs: int = whole(5, 1)
    step_factor: float = number(0.3, 0, 1)
    weight_decay: float = number(0.01, 0)
    l1: float = number(0.0, 0)
    weight_elimination: float = number(0.0, 0)
    weight_elimination_scale: float = number(1.0, 1e-12)
    label_smoothing: float = number(0.0, 0, 0.999)
    balance: Balance = one_of("none", Balance)
    clip: float = number(0.0, 0)
    ema: float = number(0.0, 0, 0.999999)
    early_stop: int = whole(0, 0)


@dataclass(frozen=True, kw_only=True)
class AugmentationSection(Limited):
    """What happens to the images that are learnt from.

    Attributes:
        augment: ``flip``, ``flip_vertical``, ``crop``, ``resized_crop``, ``affine``, ``rotation``, ``elastic``,
            ``colour``, ``randaugment``, ``erasing``, ``box_crop``, ``zoom_out``, in the order given; ``mosaic``,
            ``mixup``, ``cutmix``, always last; or ``none``.
        views: What the frozen stages remember of an image: ``identity``, ``flip``, ``top_left``, ….
    """

    augment: tuple[str, ...] = steps(("crop",))
    views: tuple[str, ...] = names(("identity",), least=1)


@dataclass(frozen=True, kw_only=True)
class MaskSection(Limited):
    """What only networks for masks learn by.

    Attributes:
        loss: What is learnt from masks: ``cross_entropy``, ``dice``, ``focal``, or several; the first two by default.
        border: Let pixels between two objects of a mask that nearly touch count for up to ten more.
    """

    loss: tuple[Loss, ...] = names((), known=get_args(Loss))
    border: bool = yes_or_no(False)


@dataclass(frozen=True, kw_only=True)
class RunSection(Limited):
    """Where it runs, and how: nothing here is about what is learnt.

    Attributes:
        seed: Of everything random.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        precision: ``fp32``, ``bf16`` (autocast), or ``auto``: what a short timing finds faster.
        layout: Memory layout of images: ``channels_first``, ``channels_last`` or ``auto``.
        threads: Threads of PyTorch; 0 for one a core, or for one where a short timing finds that more gain little.
        workers: Processes that prepare batches; 0 prepares them in the training process.
        engine: What runs the frozen stages of trained weights: ``openvino``, ``openvino_bf16``, ``onnxruntime``,
            ``pytorch``, or ``auto``: the fastest here that computes the same.
        save_every: Seconds between checkpoints; 0 saves after every step.
    """

    seed: int = whole(0, -(2**62), 2**62)
    device: Device = one_of("auto", Device)
    precision: Precision = one_of("auto", Precision)
    layout: Layout = one_of("auto", Layout)
    threads: int = whole(0, 0, MOST_THREADS)
    workers: int = whole(0, 0, 256)
    engine: Engine = one_of("auto", Engine)
    save_every: float = number(10.0, 0)


SECTIONS: Mapping[str, type[Limited]] = {
    "data": DataSection,
    "model": ModelSection,
    "optimiser": OptimiserSection,
    "augmentation": AugmentationSection,
    "masks": MaskSection,
    "run": RunSection,
}
"""By the name of their table in TOML; `svertka.Recipe` has the fields of all of them."""
