"""What a prediction is. Every kind checks itself when built, turns itself into JSON, draws itself, and says itself."""

from svertka.results.boxes import Detection, Detections, boxed
from svertka.results.classes import Classes, ClassScore, Labels, LabelScore, NoneOfThese
from svertka.results.colours import class_colours, css, drawn_colour
from svertka.results.masks import Segmentation, outlines, tinted
from svertka.results.result import Result

OWN = {"result": lambda: (Classes, NoneOfThese, Labels, Detections, Segmentation)}
"""Svertka's own things for `svertka.plugins`, by kind."""

__all__ = [
    "OWN",
    "ClassScore",
    "Classes",
    "Detection",
    "Detections",
    "LabelScore",
    "Labels",
    "NoneOfThese",
    "Result",
    "Segmentation",
    "boxed",
    "class_colours",
    "css",
    "drawn_colour",
    "outlines",
    "tinted",
]
