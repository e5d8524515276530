"""Turns matplotlib's SVG file into SVG that can stand inside an HTML page beside others."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

_DROPPED = ("metadata", "style")
_REFERENCES = ("href", "clip-path")


def inline(svg: str, *, name: str, variables: Mapping[str, str]) -> str:
    """Return ``svg`` without file header, namespaces and style attributes.

    The page's content security policy forbids style attributes, so they become SVG attributes; fonts are left
    to the page. Ids get the prefix ``name``, colours become what ``variables`` says.
    """
    # The text comes from matplotlib and holds no word of the user's: no hostile XML to fear.
    root = ElementTree.fromstring(svg)
    for parent in root.iter():
        for child in [c for c in parent if _local(c.tag) in _DROPPED]:
            parent.remove(child)
    names: dict[str, str] = {}
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = {_local(key): value for key, value in element.attrib.items()}
        attributes |= _declarations(attributes.pop("style", ""))
        element.attrib.clear()
        element.attrib.update({key: variables.get(value, value) for key, value in attributes.items()})
        for key in _REFERENCES:
            if key in attributes:
                used = attributes[key].removeprefix("url(").removesuffix(")").removeprefix("#")
                new = names.setdefault(used, f"{name}-{len(names) + 1}")
                element.attrib[key] = attributes[key].replace(used, new)
    for element in root.iter():
        # Matplotlib numbers every group; two drawings would number theirs alike.
        if (identifier := element.attrib.pop("id", None)) in names:
            element.attrib["id"] = names[identifier]
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib["aria-hidden"] = "true"
    root.tail = None
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: object) -> str:
    return str(name).rpartition("}")[2]


def _declarations(style: str) -> dict[str, str]:
    pairs = (part.partition(":") for part in style.split(";") if part.strip())
    return {key.strip(): value.strip() for key, _, value in pairs if not key.strip().startswith("font")}
