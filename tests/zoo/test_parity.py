"""Every network computes what every other library that has it computes."""

import peers
import pytest

from svertka.zoo import registry
from svertka.zoo.conversion import sources


@pytest.mark.parametrize("pair", peers.PAIRS, ids=lambda pair: f"{pair.net}-{pair.library}")
def test_the_same_logits(pair: peers.Pair) -> None:
    try:
        peers.library(pair.library)
    except ImportError as error:
        pytest.skip(str(error))
    assert peers.compare(pair).relative <= peers.TOLERANCE


def test_every_source_of_weights_is_compared() -> None:
    """Where a checkpoint can be converted, the network that it comes from must have been run beside ours."""
    compared = {(registry.family(pair.net).__name__, pair.source or pair.library) for pair in peers.PAIRS}
    # No library, but a published file or a list of layers, in tests of their own.
    elsewhere = {"akamaster", "caffe", "efficientnet_pytorch", "mlperf_tiny"}
    # What finds boxes is held against torchvision box by box, in test_detectors.py.
    for record in (record for record in registry.records() if record.kind != "detector"):
        for source in sources(record.name):
            assert (registry.family(record.name).__name__, source) in compared or source in elsewhere
