import pytest

from svertka.zoo.ledger import LECTURE, LedgerLine, ledger


@pytest.fixture(scope="module")
def lines() -> dict[str, LedgerLine]:
    return {line.entry.net: line for line in ledger()}


@pytest.mark.parametrize("entry", LECTURE, ids=lambda entry: entry.net)
def test_kerass_way_of_counting_gives_the_lectures_figure(entry, lines) -> None:
    assert lines[entry.net].keras == entry.parameters


def test_the_table_is_whole() -> None:
    assert len(LECTURE) == 20
