"""``svertka predict``."""

from __future__ import annotations

from pathlib import Path

from svertka.cli._output import Json, print_json
from svertka.verbs.predict import predict as run_predict


def predict(model: Path, /, *images: Path, out: Path | None = None, json: Json = False) -> int:
    """Say what is in images. A .onnx model runs without torch.

    The exit status is 1 if an image could not be read; the others are predicted all the same.

    Parameters
    ----------
    model
        Model file (.safetensors or .onnx) or a run's folder.
    images
        Image files, and folders of them.
    out
        Folder for what is predicted of each image: drawn on it, as JSON, and of masks the mask itself.
    """
    predictions = run_predict(model, images, out=out)
    if json:
        print_json([prediction.to_json() for prediction in predictions])
    else:
        for prediction in predictions:
            print(prediction.line())
    return int(any(prediction.error for prediction in predictions))
