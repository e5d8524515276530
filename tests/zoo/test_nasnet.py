"""NASNet-A's halving, and what its constructor refuses."""

import pytest
import torch

from svertka.nets.nasnet import FactorisedReduction
from svertka.zoo import registry


@pytest.mark.parametrize("side", [6, 7])
def test_halving_loses_no_second_pixel(side) -> None:
    halving = FactorisedReduction(1, 2).eval()
    with torch.no_grad():
        halving.even.weight.fill_(1)
        halving.odd.weight.fill_(1)
        x = torch.arange(1.0, side * side + 1).reshape(1, 1, side, side)
        y = halving(x) * (1 + halving.norm.eps) ** 0.5
    assert y.shape == (1, 2, (side + 1) // 2, (side + 1) // 2)
    torch.testing.assert_close(y[0, 0], x[0, 0, ::2, ::2])
    inside = side // 2
    torch.testing.assert_close(y[0, 1, :inside, :inside], x[0, 0, 1::2, 1::2])


def test_features_that_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="100 features"):
        registry.record("nasnet_mobile").constructor()(features=100)
