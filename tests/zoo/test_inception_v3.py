"""Inception-v3's auxiliary classifier is torchvision's; Inception-v2 has the sizes of the paper's table 1."""

import pytest
import torch

from svertka.nets.inception_v3 import InceptionV2
from svertka.zoo import registry
from svertka.zoo.catalogue.inception_v3 import KEYS
from svertka.zoo.renaming import rename

RULES = KEYS["torchvision"]


def test_the_auxiliary_classifier_as_torchvision() -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.inception_v3(weights=None, init_weights=False).eval()
    theirs.training = True  # makes it give it, and leaves its layers in evaluation
    ours = registry.build("inception_v3", {"auxiliary": True}).eval()
    ours.load_state_dict(rename(theirs.state_dict(), RULES))
    assert sum(parameter.numel() for parameter in ours.parameters()) == 27_161_264
    x = torch.randn(1, 3, 299, 321, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours.forward_with_auxiliary(x), tuple(theirs(x)), atol=1e-4, rtol=0)


def test_the_auxiliary_classifier_needs_large_images() -> None:
    with torch.device("meta"):
        net = registry.build("inception_v3", {"auxiliary": True})
        assert [logits.shape for logits in net.forward_with_auxiliary(torch.empty(2, 3, 299, 299))] == [(2, 1000)] * 2
        with pytest.raises(RuntimeError):
            net.forward_with_auxiliary(torch.empty(2, 3, 298, 298))


def test_inception_v2_has_the_sizes_of_table_1() -> None:
    with torch.device("meta"):
        shapes = InceptionV2().trunk.shapes(299, 299)
    # Each line's output is the next line's input; "pool" and "conv 3×3" on 73 × 73 are one stage here.
    assert shapes["conv1"] == (32, 149, 149)
    assert shapes["conv2"] == (64, 147, 147)
    assert shapes["conv3"] == (80, 71, 71)
    assert shapes["conv4"] == shapes["mixed5"] == (288, 35, 35)
    assert shapes["mixed6"] == (768, 17, 17)
    assert shapes["mixed7"] == (2048, 8, 8)
