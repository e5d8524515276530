"""SqueezeNet comes in two versions."""

import pytest

from svertka.errors import UserError
from svertka.zoo import registry


def test_an_unknown_version() -> None:
    with pytest.raises(UserError, match=r"unknown version '1\.2'"):
        registry.build("squeezenet1_0", {"version": "1.2"})
