"""Train a torch.nn.Module of your own: save it, open it again, export it, let it prove itself, and predict with it.

Run it with `python examples/own_module.py`. It needs no data and no network, and takes a few seconds.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import svertka


class SmallNet(nn.Module):
    """Two convolutions. What its constructor is given it keeps, so that it can be built again."""

    def __init__(self, classes: int = 2, in_channels: int = 3, width: int = 8) -> None:
        super().__init__()
        self.classes, self.in_channels, self.width = classes, in_channels, width
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) of images (N, in_channels, H, W)."""
        return self.layers(images)


def draw_stripes(folder: Path, count: int = 24) -> None:
    """Write class folders: stripes that stand, and stripes that lie."""
    chance = np.random.default_rng(0)
    for name in ("lying", "standing"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = chance.integers(0, 60, (24, 24, 3), np.uint8)
            image[chance.integers(3) :: 4] += 180
            image = image if name == "lying" else image.swapaxes(0, 1)
            Image.fromarray(np.ascontiguousarray(image)).save(folder / name / f"{number:02d}.png")


def main() -> None:
    """The whole way."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        draw_stripes(place / "stripes")

        # An instance is trained from the weights that it has; a class, from weights of the seed.
        net = SmallNet(classes=2, width=8)
        run = svertka.train(
            place / "stripes", net=net, out=place / "run", image_size=24, epochs=8, batch=8, lr=0.01, progress=False
        )
        print(f"trained: accuracy {run.metrics['accuracy']:.0%} on images that were held out")

        # Another program calls `svertka.register(SmallNet)` before it opens the file.
        found = svertka.predict(run.model, place / "stripes/lying/00.png")
        print(f"predicted: {found[0].result.line()}")

        exported = svertka.export(run.model, out=place / "stripes.onnx")
        print(f"exported: {exported.model.name}, which runs without the class and without torch")
        proof = svertka.verify(exported.model)
        engines = " and ".join(engine.name for engine in proof.engines)
        print(f"verified: {engines} give {'the same answers' if proof.ok else 'OTHER ANSWERS'} as in training")


if __name__ == "__main__":
    main()
