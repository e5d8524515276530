"""Changes of colour, with the kernels of torchvision's v2 transforms, one image at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Change = Callable[["Tensor", float], "Tensor"]
"""An image ``(C, H, W)`` uint8, and how strongly: 1 changes nothing where it is a factor."""


def change(batch: NDArray[np.uint8], steps: list[tuple[str, NDArray[np.float64]]]) -> NDArray[np.uint8]:
    """Apply changes to images ``(N, H, W, C)`` in order.

    Args:
        batch: The images.
        steps: Keys of `CHANGES`, each with its strength for every image ``(N,)``; NaN leaves an image as it is.
    """
    import torch

    result = batch.copy()
    for number in range(len(batch)):
        image = torch.from_numpy(result[number].transpose(2, 0, 1).copy())
        for name, strengths in steps:
            if not np.isnan(strengths[number]):
                image = CHANGES[name](image, float(strengths[number]))
        result[number] = image.permute(1, 2, 0).numpy()
    return result


def _kernel(name: str) -> Change:
    # torchvision takes a second to import, and most runs need none of it.
    def changed(image: Tensor, strength: float) -> Tensor:
        from torchvision.transforms.v2 import functional

        kernel = getattr(functional, f"{name}_image")
        if name in _WITHOUT_STRENGTH:
            return kernel(image)  # type: ignore[no-any-return]
        return kernel(image, int(strength) if name == "posterize" else strength)  # type: ignore[no-any-return]

    return changed


_WITHOUT_STRENGTH = ("autocontrast", "equalize")
CHANGES: dict[str, Change] = {
    "brightness": _kernel("adjust_brightness"),
    "contrast": _kernel("adjust_contrast"),
    "saturation": _kernel("adjust_saturation"),
    "hue": _kernel("adjust_hue"),
    "sharpness": _kernel("adjust_sharpness"),
    "posterize": _kernel("posterize"),
    "solarize": _kernel("solarize"),
    "autocontrast": _kernel("autocontrast"),
    "equalize": _kernel("equalize"),
}
"""By name. A factor of 0 takes all of a quality away; hue is turned by -0.5 to 0.5 of the circle."""
