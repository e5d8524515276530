"""NASNet-A computes what Keras and timm compute."""

import pytest
import torch

from svertka.nets.nasnet import FactorisedReduction
from svertka.zoo import registry
from svertka.zoo.catalogue import nasnet


@pytest.mark.parametrize("size", ["mobile", "large"])
def test_as_keras(size, keras, assert_keras_parity) -> None:
    shape = (2, 3, 97, 75) if size == "mobile" else (2, 3, 64, 47)
    arguments = {
        "mobile": {"num_blocks": 4, "penultimate_filters": 1056, "stem_block_filters": 32, "skip_reduction": False},
        "large": {"num_blocks": 6, "penultimate_filters": 4032, "stem_block_filters": 96, "skip_reduction": True},
    }[size]
    # Not keras.applications.NASNetMobile: it refuses to be built on torch.
    model = keras.src.applications.nasnet.NASNet(
        input_shape=(*shape[2:], 3), weights=None, classifier_activation=None, default_size=224, **arguments
    )
    assert model.count_params() == {"mobile": 5_326_716, "large": 88_949_818}[size]
    ours = registry.build(f"nasnet_{size}", {"zero_border": True})
    assert_keras_parity(ours, model, nasnet.KEYS["keras" if size == "mobile" else "keras_large"], shape)


def test_as_timm(assert_parity) -> None:
    theirs = pytest.importorskip("timm").create_model("nasnetalarge", pretrained=False)
    assert_parity(registry.build("nasnet_large", {}), theirs, nasnet.KEYS["timm"], (2, 3, 97, 75))


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
