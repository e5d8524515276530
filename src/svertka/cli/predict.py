"""``svertka predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from svertka.cli._output import Json, Whole, duration, print_json, say
from svertka.commands.predict.command import predict as run_predict


def predict(
    model: Path,
    /,
    *images: Path,
    out: Path | None = None,
    every: Annotated[float, Parameter(converter=duration)] = 1.0,
    top: Whole | None = None,
    threshold: float | None = None,
    threads: Whole | None = None,
    json: Json = False,
) -> int:
    """Say what is in images, or in series. A .onnx model runs without torch.

    The exit status is 1 if an image could not be read; the others are predicted all the same.

    Parameters
    ----------
    model
        Model file (.safetensors or .onnx) or a run's folder.
    images
        Image files, folders of them, patterns such as 'photos/**/*.jpg', and videos where PyAV is installed; for a
        model of series, .csv and .npy files.
    out
        A .csv or .json for all predictions, a .coco.json for boxes as COCO has them, or a folder for what is predicted
        of each image: drawn on it, as JSON, and of masks the mask itself.
    every
        Time from one frame of a video to the next: seconds, or a number with s, m or h.
    top
        Classes, labels or boxes of each image, at most: the likeliest. By default, three classes are printed and all
        are written.
    threshold
        Least score of a label or a box, between 0 and 1, in place of those that the model has.
    threads
        How many to use; by default, all that this process may.
    """
    predictions = run_predict(model, images, out=out, every=every, top=top, threshold=threshold, threads=threads)
    if json:
        print_json([prediction.to_json() for prediction in predictions])
    else:
        for prediction in predictions:
            say(prediction.line())
    return int(any(prediction.error for prediction in predictions))
