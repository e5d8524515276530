"""Every network computes what every other library that has it computes."""

import peers
import pytest

from svertka.zoo import registry


@pytest.mark.parametrize("pair", peers.PAIRS, ids=lambda pair: f"{pair.net}-{pair.library}")
def test_the_same_logits(pair: peers.Pair) -> None:
    try:
        peers.library(pair.library)
    except ImportError as error:
        pytest.skip(str(error))
    assert peers.compare(pair).relative <= peers.TOLERANCE


def test_every_source_of_weights_is_compared() -> None:
    """Where keys can be converted, the network that they come from must have been run beside ours."""
    compared = {(registry.family(pair.net).__name__, pair.source or pair.library) for pair in peers.PAIRS}
    elsewhere = {"akamaster", "caffe"}  # no library, but a checkpoint and a list of layers, in tests of their own
    for family in registry.families():
        for source in getattr(family, "KEYS", {}):
            assert (family.__name__, source) in compared or source in elsewhere
