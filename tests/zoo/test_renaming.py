"""Keys of foreign state dicts."""

import pytest

from svertka.zoo.renaming import rename


def test_the_first_rule_that_matches_the_whole_key_renames() -> None:
    rules = [(r"conv(\d)\.w", r"c\1.weight"), (r"conv.*", "late"), (r"fc", "")]
    assert rename({"conv1.w": 1, "conv2.wide": 2, "fc": 3, "xconv1.w": 4}, rules) == {
        "c1.weight": 1,
        "late": 2,
        "xconv1.w": 4,
    }


def test_two_keys_that_become_one() -> None:
    with pytest.raises(ValueError, match="'a' and 'b' both become 'c'"):
        rename({"a": 1, "b": 2}, [("[ab]", "c")])


def test_a_key_that_stays_in_the_way_of_another() -> None:
    with pytest.raises(ValueError, match="both become 'b'"):
        rename({"a": 1, "b": 2}, [("a", "b")])
