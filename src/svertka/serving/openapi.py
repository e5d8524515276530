"""The description of the interface, as other programs read it."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

from svertka.plugins import Registry
from svertka.results import Result
from svertka.serving.limits import Limits

_RESULTS: Registry[type[Result]] = Registry("result")


@functools.cache
def _document() -> str:
    return importlib.resources.files(__package__).joinpath("openapi.json").read_text("utf-8")


def document(version: str, limits: Limits) -> dict[str, Any]:
    """The OpenAPI document of this release, with these limits and the schemas of plug-ins' results."""
    values: dict[str, Any] = json.loads(_document())
    values["info"]["version"] = version
    values["info"]["description"] += (
        f" Limits of one request: {limits.bytes:,} bytes an image, {limits.pixels:,} pixels, {limits.seconds:g} s for "
        "its body to come, and as long again for the answer."
    )
    schemas = values["components"]["schemas"]
    for name, result in _RESULTS.items():
        if result.schema is not None and name not in schemas:
            schemas[name] = dict(result.schema)
            one_of = schemas["Prediction"]["properties"]["result"]["oneOf"]
            one_of.append({"$ref": f"#/components/schemas/{name}"})
    return values
