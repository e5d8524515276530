"""Xception computes what timm computes."""

import pytest

from svertka.zoo import registry
from svertka.zoo.catalogue.xception import KEYS


def test_as_timm(assert_parity) -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("legacy_xception", pretrained=False)
    assert_parity(registry.build("xception", {}), theirs, KEYS["timm"], (2, 3, 161, 139))
