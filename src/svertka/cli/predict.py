"""``svertka predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from svertka.cli._output import Json, duration, print_json
from svertka.verbs.predict import predict as run_predict


def predict(
    model: Path,
    /,
    *images: Path,
    out: Path | None = None,
    every: Annotated[float, Parameter(converter=duration)] = 1.0,
    json: Json = False,
) -> int:
    """Say what is in images. A .onnx model runs without torch.

    The exit status is 1 if an image could not be read; the others are predicted all the same.

    Parameters
    ----------
    model
        Model file (.safetensors or .onnx) or a run's folder.
    images
        Image files, folders of them, patterns such as 'photos/**/*.jpg', and videos where PyAV is installed.
    out
        A .csv or .json for all predictions, a .coco.json for boxes as COCO has them, or a folder for what is predicted
        of each image: drawn on it, as JSON, and of masks the mask itself.
    every
        Time from one frame of a video to the next: seconds, or a number with s, m or h.
    """
    predictions = run_predict(model, images, out=out, every=every)
    if json:
        print_json([prediction.to_json() for prediction in predictions])
    else:
        for prediction in predictions:
            print(prediction.line())
    return int(any(prediction.error for prediction in predictions))
