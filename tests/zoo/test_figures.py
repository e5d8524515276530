import pytest

from svertka.zoo import registry
from svertka.zoo.figures import compute, figures


@pytest.mark.parametrize("record", registry.records(), ids=lambda record: record.name)
def test_kept_figures_are_those_computed_now(record: registry.NetRecord) -> None:
    assert figures()[record.name] == compute(record.name)
