from pathlib import Path

import pytest

from svertka.zoo import registry
from svertka.zoo.ledger import LECTURE, LedgerLine, ledger, page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def lines() -> dict[str, LedgerLine]:
    return {line.net: line for line in ledger()}


@pytest.mark.parametrize("entry", LECTURE, ids=lambda entry: entry.net)
def test_kerass_way_of_counting_gives_the_lectures_figure(entry, lines) -> None:
    assert lines[entry.net].keras == entry.parameters


def test_the_table_is_whole() -> None:
    assert len(LECTURE) == 20


@pytest.mark.parametrize("record", registry.records(), ids=lambda record: record.name)
def test_every_network_is_in_the_ledger_as_published(record, lines) -> None:
    assert lines[record.name].counted == record.parameters


def test_the_difference_is_what_the_normalisations_keep(lines) -> None:
    import torch

    for name in ("vgg16", "mobilenet", "resnet20_cifar"):
        with torch.device("meta"):
            state = registry.build(name, {}).state_dict()
        statistics = sum(value.numel() for key, value in state.items() if "running_" in key)
        assert lines[name].keras - lines[name].counted == statistics


def test_the_page_is_of_today() -> None:
    assert (DOCS / "ledger.md").read_text(encoding="utf-8") == page()
