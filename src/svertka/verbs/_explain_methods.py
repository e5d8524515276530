"""The methods of explaining, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from svertka.verbs._explain_attributions import ATTRIBUTIONS, SANITY_OF, show_attribution, show_sanity
from svertka.verbs._explain_embedding import show_embedding
from svertka.verbs._explain_layers import show_filters, show_maps, show_maximised, show_patches, show_projections
from svertka.verbs._explain_scores import show_adversarial, show_pruning
from svertka.verbs._explain_study import Study

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
_NOT_OF_BOXES: Mapping[str, str] = {
    "adversarial": "it counts how often a class is right, which says nothing of boxes",
    "pruning": "it counts how often a class is right, which says nothing of boxes",
    "grad_cam_plus_plus": "it weighs whole maps, which says nothing of one box; see grad_cam",
}


def show(name: str, study: Study, chosen: Sequence[str]) -> None:
    """Explain by the method ``name``; ``chosen`` are all that are run."""
    if study.subject.finds_boxes and name in _NOT_OF_BOXES:
        study.note(f"{name}: {_NOT_OF_BOXES[name]}")
    elif name in ATTRIBUTIONS:
        show_attribution(name, study)
    elif name == "sanity":
        show_sanity([method for method in chosen if method in ATTRIBUTIONS] or list(SANITY_OF), study)
    else:
        _OTHERS[name](study)
