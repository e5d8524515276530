"""Images laid out so that those are neighbours that a layer takes for alike.

L. van der Maaten, G. Hinton, "Visualizing Data using t-SNE", 2008; L. McInnes, J. Healy, J. Melville, "UMAP: Uniform
Manifold Approximation and Projection for Dimension Reduction", 2018.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_KEPT = 50  # principal components that t-SNE and UMAP go by
_PERPLEXITY = 30.0
_NEIGHBOURS = 15

Layout = Callable[[NDArray[np.floating]], NDArray[np.float64]]


class Means:
    """Gathers the mean over all positions of a layer's maps, ``(C,)`` an image."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []

    def add(self, maps: Tensor) -> None:
        """Take in maps ``(N, C, h, w)``."""
        self._rows.append(maps.mean(dim=(2, 3)).float())

    def features(self) -> NDArray[np.float32]:
        """What was gathered, ``(N, C)``."""
        return np.asarray(torch.cat(self._rows).numpy(), np.float32)


def pca(features: NDArray[np.floating], components: int = 2) -> NDArray[np.float64]:
    """The first principal components of features ``(N, D)``, ``(N, components)``; those that there are not are zero."""
    centred = np.asarray(features, np.float64) - features.mean(axis=0)
    left, scales, right = np.linalg.svd(centred, full_matrices=False)
    # The sign is free: let the largest loading be positive.
    largest = np.abs(right).argmax(axis=1)
    scores = left * scales * np.sign(right[np.arange(len(right)), largest])
    result = np.zeros((len(features), components))
    result[:, : scores.shape[1]] = scores[:, :components]
    return result


def tsne(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """The layout ``(N, 2)`` of t-SNE, from the first principal components of features ``(N, D)``."""
    if len(features) < 4:
        return pca(features)
    from sklearn.manifold import TSNE

    reduced = pca(features, min(_KEPT, *features.shape))
    if reduced.shape[1] < 2:
        return pca(features)
    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
    found = TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(reduced.astype(np.float32))
    return np.asarray(found, np.float64)


def umap(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """The layout ``(N, 2)`` of UMAP, from the first principal components of features ``(N, D)``."""
    if len(features) < 4:
        return pca(features)
    from umap import UMAP

    reduced = pca(features, min(_KEPT, *features.shape))
    found = UMAP(n_neighbors=min(_NEIGHBOURS, len(features) - 1), random_state=0, n_jobs=1).fit_transform(reduced)
    return np.asarray(found, np.float64)


def layouts() -> dict[str, Layout]:
    """The ways to lay images out that are installed, by name."""
    found: dict[str, Layout] = {"PCA": pca, "t-SNE": tsne}
    if importlib.util.find_spec("umap") is not None:
        found["UMAP"] = umap
    return found
