"""Boxes: ours beside torchvision's detectors on the same trunk, and Ultralytics' smallest from scratch, in equal time.

    pip install -e '.[bench]'
    python benchmarks/detection.py --data BCCD --minutes 30
    python benchmarks/detection.py --data BCCD --minutes 30 --competitors ultralytics --ultralytics VENV/bin/python

BCCD has 364 images of blood cells, 640 × 480, in the layout of VOC; its own lists say the parts. The training part is
learnt from, the test part judged. Every run is a process of its own, on all cores that it is given, and none may learn
for longer than --minutes. All but the last begin with the same weights of EfficientNet-Lite0 under what detects.

- faster_rcnn, ssd, yolo_v2: `svertka.train(..., net=…, weights="efficientnet_lite0", budget=…)`, all else by default.
- ssdlite: torchvision's `SSD` with its `SSDLiteHead` on the maps of the trunk at strides of 16 and 32 and of four extra
  blocks, at 320 pixels, as its `ssdlite320_mobilenet_v3_large` has them.
- tv_faster_rcnn: torchvision's `FasterRCNN` with a pyramid on the same two stages, anchors and sizes as its
  `fasterrcnn_mobilenet_v3_large_320_fpn` has them.
- ultralytics: `YOLO("yolo11n.yaml").train(pretrained=False, time=…)`, with its own augmentation and sizes, in a process
  of another interpreter (--ultralytics) that has it installed; it is under the AGPL, and nothing of ours needs it.

torchvision's networks learn from batches of 8, flipped at random, by AdamW at 0.001, which falls by a fifth from each
stage of the trunk to the one before it, as ours does; its normalisations are frozen. The rate rises over 100 steps and
falls with a cosine until the time is over. All are judged by `svertka.tasks.box_precision`. Seconds are from the call
to the trained network, without imports; ours with what it judges, its report and model file.

Two of four at a time, a core (AVX-512 with VNNI and bf16) for each, by `taskset`, --minutes 22; torchvision 0.29.1,
ultralytics 8.4.190:

    ssd             mAP@.5 0.898  mAP 0.530  Platelets 0.877  RBC 0.836  WBC 0.981  1113 s
    faster_rcnn     mAP@.5 0.896  mAP 0.535  Platelets 0.870  RBC 0.842  WBC 0.974  1253 s
    tv_faster_rcnn  mAP@.5 0.722  mAP 0.455  Platelets 0.335  RBC 0.854  WBC 0.976  1325 s
    ultralytics     mAP@.5 0.326  mAP 0.142  Platelets 0.000  RBC 0.378  WBC 0.601  1354 s
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS = "efficientnet_lite0"
LEAST = 0.001  # score of a box that is judged
OVERLAP = 0.5  # IoU of boxes of which one is left out, for peers that have one to set

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """What a competitor is given.

    Attributes:
        data: The data set.
        seconds: For learning.
        seed: Of all that is random.
        scratch: An empty folder.
        python: Interpreter that has Ultralytics.
    """

    data: Path
    seconds: float
    seed: int
    scratch: Path
    python: str


def ours(job: Job, *, net: str) -> dict[str, Any]:
    """Train, report and judge."""
    os.environ["SVERTKA_CACHE"] = str(job.scratch / "cache")
    import svertka
    from svertka.training import loop  # noqa: F401 (what is imported is not timed)

    given = {"net": net, "weights": WEIGHTS, "budget": job.seconds, "seed": job.seed}
    started = time.perf_counter()
    trained = svertka.train(job.data, out=job.scratch / "run", progress=False, **given)
    seconds = time.perf_counter() - started
    judged = svertka.evaluate(trained.model, job.data, part="test", progress=False)
    by_class = {row["class"]: row["ap50"] for row in judged.per_class}
    return {"seconds": seconds, "map50": judged.metrics["map50"], "map": judged.metrics["map"], "classes": by_class}


def torchvision_peer(job: Job, *, build: Callable[[Any, int], Any]) -> dict[str, Any]:
    """Train a detector of torchvision until the time is over; judge."""
    import torch

    parts, classes = read(job.data)
    images, objects = pixels(parts["train"]), [rows for _, rows in parts["train"]]
    torch.manual_seed(job.seed)
    rng = np.random.default_rng(job.seed)
    trunk = trained_trunk()
    started = time.perf_counter()
    net = build(trunk, 1 + len(classes))
    net.train()
    stages = list(trunk.children())
    groups = [
        {"params": list(stage.parameters()), "scale": 0.8 ** (len(stages) - number)}
        for number, stage in enumerate(stages)
    ]
    known = {id(weight) for group in groups for weight in group["params"]}
    groups.append({"params": [weight for weight in net.parameters() if id(weight) not in known], "scale": 1.0})
    optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01)
    for step, (chosen, mirrored) in enumerate(batches(len(images), rng)):
        share = (time.perf_counter() - started) / job.seconds
        if share >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * group["scale"] * min(1, (step + 1) / 100) * (1 + math.cos(math.pi * share)) / 2
        pairs = [sample(images[number], objects[number], flip) for number, flip in zip(chosen, mirrored, strict=True)]
        loss = sum(net([x for x, _ in pairs], [told for _, told in pairs]).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
    seconds = time.perf_counter() - started
    net.eval()
    found = []
    with torch.inference_mode():
        for image in pixels(parts["test"]):
            (said,) = net([tensor(image)])
            sides = said["boxes"].numpy() / ([*image.shape[1::-1]] * 2)
            found.append(np.column_stack([said["labels"].numpy() - 1, said["scores"].numpy(), sides]))
    return {"seconds": seconds, "steps": step, **judge(found, [rows for _, rows in parts["test"]], classes)}


def ssdlite(trunk: Any, classes: int) -> Any:
    """torchvision's SSDLite at 320 pixels on the trunk."""
    from torch import nn
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.ssd import SSD
    from torchvision.models.detection.ssdlite import SSDLiteHead
    from torchvision.ops.misc import Conv2dNormActivation

    norm = functools.partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    conv = functools.partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.ReLU6)

    def extra(inputs: int, outputs: int) -> nn.Sequential:
        middle = outputs // 2
        return nn.Sequential(
            conv(inputs, middle, kernel_size=1),
            conv(middle, middle, kernel_size=3, stride=2, groups=middle),
            conv(middle, outputs, kernel_size=1),
        )

    class Maps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = trunk
            self.extra = nn.ModuleList(extra(*pair) for pair in ((1280, 512), (512, 256), (256, 256), (256, 128)))

        def forward(self, x: Any) -> Any:
            outputs = self.trunk.pyramid(x)
            levels = [outputs["stage6"], outputs["stage9"]]
            for layers in self.extra:
                levels.append(layers(levels[-1]))
            return OrderedDict((str(number), level) for number, level in enumerate(levels))

    boxes = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    head = SSDLiteHead([112, 1280, 512, 256, 256, 128], boxes.num_anchors_per_location(), classes, norm)
    mean = std = [0.5, 0.5, 0.5]
    return SSD(
        Maps(),
        boxes,
        (320, 320),
        classes,
        head=head,
        image_mean=mean,
        image_std=std,
        score_thresh=LEAST,
        nms_thresh=OVERLAP,
        detections_per_img=100,
    )


def tv_faster_rcnn(trunk: Any, classes: int) -> Any:
    """torchvision's Faster R-CNN for images of 320 pixels on the trunk."""
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import BackboneWithFPN

    maps = BackboneWithFPN(trunk, {"stage6": "0", "stage9": "1"}, [112, 1280], 256)
    sizes = ((32, 64, 128, 256, 512),) * 3
    anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    mean = std = [0.5, 0.5, 0.5]
    return FasterRCNN(
        maps,
        classes,
        rpn_anchor_generator=anchors,
        min_size=320,
        max_size=640,
        image_mean=mean,
        image_std=std,
        rpn_pre_nms_top_n_test=150,
        rpn_post_nms_top_n_test=150,
        rpn_score_thresh=0.05,
        box_score_thresh=LEAST,
        box_nms_thresh=OVERLAP,
    )


def trained_trunk() -> Any:
    """The stages of the published weights, whose normalisations stay as they are."""
    from torchvision.ops.misc import FrozenBatchNorm2d

    from svertka.zoo.modelfile import load_model
    from svertka.zoo.weights import find, obtain

    net, _ = load_model(obtain(find(WEIGHTS)))
    for parent in list(net.trunk.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer).__name__ == "BatchNorm2d":
                frozen = FrozenBatchNorm2d(layer.num_features, eps=layer.eps)
                frozen.load_state_dict({key: value for key, value in layer.state_dict().items() if "num" not in key})
                setattr(parent, name, frozen)
    return net.trunk


def batches(count: int, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Which images each step learns from, without end, and which of them are mirrored."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count - 7, 8):
            yield order[start : start + 8], rng.random(8) < 0.5


def tensor(image: NDArray[np.uint8]) -> Any:
    """An image ``(H, W, 3)`` as torchvision's detectors take it."""
    import torch

    return (torch.from_numpy(image.copy()).float() / 255).permute(2, 0, 1)


def sample(image: NDArray[np.uint8], rows: Rows, mirrored: bool) -> tuple[Any, dict[str, Any]]:
    """An image and its objects as torchvision's detectors take them."""
    import torch

    height, width = image.shape[:2]
    boxes = rows[:, 1:5] * [width, height, width, height]
    if mirrored:
        image = image[:, ::-1]
        boxes = np.column_stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]])
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    told = {"boxes": torch.from_numpy(boxes[solid]).float(), "labels": torch.from_numpy(rows[solid, 0]).long() + 1}
    return tensor(image), told


def ultralytics(job: Job) -> dict[str, Any]:
    """Let another interpreter train and predict; judge."""
    import svertka

    yolo = job.scratch / "yolo"
    svertka.convert(job.data, yolo, format="yolo", progress=False)
    command = [job.python, __file__, "--data", str(yolo), "--minutes", str(job.seconds / 60)]
    command += ["--seeds", str(job.seed), "--one", "_ultralytics"]
    # Nothing is to be installed, or reported to anybody, while it runs.
    offline = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(job.scratch)}
    answer = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **offline}, cwd=job.scratch
    )
    told = json.loads(answer.stdout.splitlines()[-1])
    parts, classes = read(job.data)
    numbers = np.array([classes.index(name) for name in told["names"]])
    found, objects = [], []
    for sample, rows in parts["test"]:
        boxes = np.array(told["found"][Path(sample.name).stem], np.float32).reshape(-1, 6)
        boxes[:, 0] = numbers[boxes[:, 0].astype(int)]
        found.append(boxes)
        objects.append(rows)
    return {"seconds": told["seconds"], **judge(found, objects, classes)}


def in_ultralytics(data: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Train from scratch for this time, and tell what is found in every test image; with its interpreter, without ours.

    Returns:
        ``seconds``, ``names`` of the classes, and ``found`` by image: class, score, left, top, right, bottom.
    """
    import torch
    from ultralytics import YOLO, settings

    settings.update({"sync": False})
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    net = YOLO("yolo11n.yaml")
    started = time.perf_counter()
    net.train(
        data=str(data / "data.yaml"),
        pretrained=False,
        time=seconds / 3600,
        seed=seed,
        device="cpu",
        project=str(data.parent / "runs"),
        plots=False,
        verbose=False,
    )
    spent = time.perf_counter() - started
    found = {}
    for file in sorted((data / "images" / "test").iterdir()):
        (said,) = net.predict(file, conf=LEAST, iou=OVERLAP, max_det=100, device="cpu", verbose=False)
        boxes = said.boxes
        found[file.stem] = torch.cat([boxes.cls[:, None], boxes.conf[:, None], boxes.xyxyn], dim=1).tolist()
    return {"seconds": spent, "names": [net.names[number] for number in range(len(net.names))], "found": found}


def read(data: Path) -> tuple[dict[str, list[tuple[Any, Rows]]], list[str]]:
    """By part, every sample with its objects: class, left, top, right, bottom as shares, kind; and the classes."""
    from svertka.annotations import class_names
    from svertka.data.readers.reading import open_dataset
    from svertka.tasks.box_matches import told
    from svertka.tasks.detection import DetectionTask

    dataset = open_dataset(data)
    classes = class_names(sample.annotation for samples in dataset.parts.values() for sample in samples)
    task = DetectionTask(classes)
    parts = {
        part: [
            (sample, told(rows))
            for sample, rows in zip(samples, task.targets([sample.annotation for sample in samples]), strict=True)
        ]
        for part, samples in dataset.parts.items()
    }
    return parts, list(classes)


def pixels(part: list[tuple[Any, Rows]]) -> list[NDArray[np.uint8]]:
    """The images of a part, decoded."""
    return [sample.source.load()[0] for sample, _ in part]


def judge(found: list[Rows], objects: list[Rows], classes: list[str]) -> dict[str, Any]:
    """Average precision, as ours is judged."""
    from svertka.tasks.box_precision import average_precision

    precision = average_precision([np.asarray(rows, np.float32) for rows in found], objects, len(classes))
    by_class = dict(zip(classes, precision.by_class50.tolist(), strict=True))
    return {
        "map50": float(np.nanmean(precision.by_class50)),
        "map": float(np.nanmean(precision.by_class)),
        "classes": by_class,
    }


COMPETITORS: dict[str, Callable[[Job], dict[str, Any]]] = {
    **{name: functools.partial(ours, net=name) for name in ("faster_rcnn", "ssd", "yolo_v2")},
    "ssdlite": functools.partial(torchvision_peer, build=ssdlite),
    "tv_faster_rcnn": functools.partial(torchvision_peer, build=tv_faster_rcnn),
    "ultralytics": ultralytics,
}


def version_in(python: str, package: str) -> str | None:
    """The version of a package that an interpreter has."""
    command = [python, "-c", f"import importlib.metadata as m; print(m.version({package!r}))"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None


def main() -> None:
    """Run all competitors in turns and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--competitors", nargs="+", choices=COMPETITORS, default=list(COMPETITORS))
    parser.add_argument("--ultralytics", default=sys.executable, help="interpreter that has Ultralytics")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    seconds = 60 * given.minutes
    if given.one == "_ultralytics":
        print(json.dumps(in_ultralytics(given.data, seconds, given.seeds[0])))
        return
    if given.one:
        with tempfile.TemporaryDirectory() as scratch:
            job = Job(given.data.resolve(), seconds, given.seeds[0], Path(scratch), given.ultralytics)
            print(json.dumps(COMPETITORS[given.one](job)))
        return
    names = list(given.competitors)
    if "ultralytics" in names and version_in(given.ultralytics, "ultralytics") is None:
        print(f"ultralytics is left out: {given.ultralytics} has none (see --ultralytics)", file=sys.stderr)
        names.remove("ultralytics")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in given.seeds:
        for name in names:
            command = [sys.executable, __file__, "--data", str(given.data), "--minutes", str(given.minutes)]
            command += ["--seeds", str(seed), "--one", name, "--ultralytics", given.ultralytics]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[name].append(json.loads(answer.stdout.splitlines()[-1]))
            print(name, seed, found[name][-1], file=sys.stderr)
    versions = f"torchvision {importlib.metadata.version('torchvision')}"
    if "ultralytics" in names:
        versions += f", ultralytics {version_in(given.ultralytics, 'ultralytics')}"
    threads = os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))
    print(f"{given.minutes:g} minutes, {threads} threads, {platform.processor() or platform.machine()}, {versions}")
    for name, runs in found.items():
        for run in runs:
            classes = "  ".join(f"{label} {value:.3f}" for label, value in run["classes"].items())
            print(f"{name:15} mAP@.5 {run['map50']:.3f}  mAP {run['map']:.3f}  {classes}  {run['seconds']:.0f} s")


if __name__ == "__main__":
    main()
