"""Inception-v4 computes what timm computes."""

import pytest

from svertka.zoo import registry
from svertka.zoo.catalogue.inception_v4 import KEYS


def test_as_timm(assert_parity) -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("inception_v4", pretrained=False)
    assert_parity(registry.build("inception_v4", {}), theirs, KEYS["timm"], (2, 3, 161, 139))
