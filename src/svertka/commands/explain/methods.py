"""The methods of explaining, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from svertka.commands.explain.attributions import ATTRIBUTIONS, SANITY_OF, show_attribution, show_sanity
from svertka.commands.explain.embedding import show_embedding
from svertka.commands.explain.layers import show_filters, show_maps, show_maximised, show_patches, show_projections
from svertka.commands.explain.scores import show_adversarial, show_pruning
from svertka.commands.explain.study import Study

_OTHERS: Mapping[str, Callable[[Study], None]] = {
    "filters": show_filters,
    "maps": show_maps,
    "patches": show_patches,
    "deconvnet": show_projections,
    "maximisation": show_maximised,
    "embedding": show_embedding,
    "adversarial": show_adversarial,
    "pruning": show_pruning,
}


def show(name: str, study: Study, chosen: Sequence[str]) -> None:
    """Explain by the method ``name``; ``chosen`` are all that are run."""
    if name in study.subject.unsuited:
        study.note(f"{name}: {study.subject.unsuited[name]}")
    elif name in ATTRIBUTIONS:
        show_attribution(name, study)
    elif name == "sanity":
        show_sanity([method for method in chosen if method in ATTRIBUTIONS] or list(SANITY_OF), study)
    else:
        _OTHERS[name](study)
