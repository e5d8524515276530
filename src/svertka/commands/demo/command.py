"""The demo: the whole way once, on real handwritten digits, by the commands themselves."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from svertka.commands.demo.result import Demonstrated
from svertka.commands.export.command import export
from svertka.commands.predict.command import predict
from svertka.commands.train.command import train
from svertka.commands.verify.command import verify
from svertka.errors import UserError
from svertka.runtime.files import make_folder
from svertka.training.recipe import Recipe
from svertka.workflows.progress import Display
from svertka.workflows.trained import Trained

DEMO_RECIPE = Recipe(net="lenet5", epochs=30, batch=32, lr=0.004, augment=("affine",), val_fraction=0.1)
"""Chosen by validation accuracy on the training images."""


def demo(out: str | PathLike[str] = "demo", *, seed: int = 0, progress: bool = True) -> Demonstrated:
    """Write scikit-learn's 1,797 digits as PNG class folders; train, evaluate, export, verify and predict.

    A fifth of the images is held out and never trained on.

    Args:
        out: Folder to make; it must not exist.
        seed: Of the training.
        progress: Show progress on standard error.

    Raises:
        UserError: The folder exists.
    """
    folder = Path(out)
    if folder.exists():
        raise UserError("the demo's folder exists", where=folder, mend="remove it, or choose another with --out")
    display = Display(show=progress)
    data = folder / "digits"
    _write_digits(data)
    display.say(f"wrote 1,797 handwritten digits to {data}{'/'}{{train,test}}{'/'}{{0…9}}{'/'}")
    trained = train(data, DEMO_RECIPE, out=folder / "run", progress=progress, seed=seed)
    assert isinstance(trained, Trained)
    exported = export(trained.model)
    display.say(f"exported {exported.model}")
    verified = verify(trained.model)
    pictures = [min((data / "test" / name).iterdir()) for name in ("3", "5", "8")]
    return Demonstrated(data, trained, exported, verified, predict(exported.model, pictures))


def _write_digits(folder: Path) -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    numbers = np.arange(len(digits.target))
    _, test = train_test_split(numbers, test_size=0.2, random_state=0, stratify=digits.target)
    held_out = set(test.tolist())
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = make_folder(folder / ("test" if number in held_out else "train") / str(label))
        # Strokes are 0 (paper) to 16 (ink); on paper, ink is dark.
        grey = np.round(255 * (1 - image / 16)).astype(np.uint8)
        Image.fromarray(grey).save(place / f"{number:04}.png")
