"""ResNet v2 computes what Keras computes."""

import pytest

from svertka.zoo import registry
from svertka.zoo.catalogue import resnet_v2


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet50_v2", (2, 3, 109, 83)),
        ("resnet101_v2", (2, 3, 77, 64)),
        ("resnet152_v2", (2, 3, 64, 77)),
    ],
)
def test_as_keras(name, shape, keras, assert_keras_parity) -> None:
    builder = getattr(keras.applications, name.replace("resnet", "ResNet").replace("_v2", "V2"))
    model = builder(weights=None, classifier_activation=None, input_shape=(*shape[2:], 3))
    ours = registry.build(name, {})
    norms = sum(value.numel() for key, value in ours.state_dict().items() if "running_" in key)
    assert model.count_params() == registry.record(name).parameters + norms
    assert_keras_parity(ours, model, resnet_v2.KEYS["keras"], shape)
