"""Train on a torch.utils.data.Dataset of your own: items are image and target, and nothing is written for them.

Run it with `python examples/own_dataset.py`. It needs no data and no network, and takes a few seconds.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

import svertka


class Shapes(Dataset):
    """Squares and discs, drawn when they are asked for; the same item is the same image each time."""

    classes = ("disc", "square")

    def __init__(self, count: int = 60) -> None:
        self.count = count

    def __len__(self) -> int:
        """How many there are."""
        return self.count

    def __getitem__(self, number: int) -> tuple[np.ndarray, int]:
        """An image (H, W, 3) uint8, and the number of its class."""
        chance, target = np.random.default_rng(number), number % 2
        y, x = np.mgrid[:24, :24] - chance.integers(10, 14, 2)[:, None, None]
        inside = np.maximum(abs(x), abs(y)) < 7 if target else x**2 + y**2 < 40
        image = chance.integers(0, 80, (24, 24, 3), np.uint8)
        image[inside] += 160
        return image, target


def main() -> None:
    """The whole way."""
    data = svertka.open_dataset(Shapes())
    print(f"opened: {data.format}, {len(data.parts['all'])} images of {' and '.join(data.class_list())}")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)

        # A resumed run needs the same call again, for a folder does not hold these images.
        run = svertka.train(data, net="lenet5", out=place / "run", epochs=8, batch=10, resume=True, progress=False)
        print(f"trained: accuracy {run.metrics['accuracy']:.0%} on images that were held out")

        exported = svertka.export(run.model, out=place / "shapes.onnx")
        proof = svertka.verify(exported.model)
        engines = " and ".join(engine.name for engine in proof.engines)
        print(f"verified: {engines} give {'the same answers' if proof.ok else 'OTHER ANSWERS'} as in training")

        image, target = Shapes()[61]  # none of those it has seen
        Image.fromarray(image).save(place / "unseen.png")
        (found,) = svertka.predict(exported.model, place / "unseen.png")
        print(f"predicted: {found.result.line()} of a {Shapes.classes[target]}")


if __name__ == "__main__":
    main()
