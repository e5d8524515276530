"""What can be trained, saved and exported."""

from __future__ import annotations

from svertka.layers.dense import Segmenter
from svertka.layers.detector import Detector
from svertka.layers.trunk import Classifier

Net = Classifier | Segmenter | Detector
"""A network with a trunk of named stages, and ``outputs`` by name."""
