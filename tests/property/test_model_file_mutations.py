"""A damaged or forged model file is refused in one line, or all that was loaded is what its card names."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY
from svertka.runtime.safetensors import Serialised, file_digest, read_header
from svertka.zoo import registry
from svertka.zoo.modelfile import load_model

SHORT = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=250,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="session")
def whole(tiny_model: Path) -> bytes:
    return tiny_model.read_bytes()


def judge(path: Path, data: bytes) -> bool:
    """Whether the file is taken; if it is, everything must match."""
    path.write_bytes(data)
    try:
        net, card = load_model(path)
    except UserError as refusal:
        line = str(refusal)
        assert line.startswith(f"{path}: ")
        assert "\n" not in line
        return False
    with torch.device("meta"):
        expected = registry.build(card.net, card.arguments).state_dict()
    found = net.state_dict()
    assert {name: (value.shape, value.dtype) for name, value in found.items()} == {
        name: (value.shape, value.dtype) for name, value in expected.items()
    }
    header = read_header(path)
    assert file_digest(path, header) == card.weights
    assert header.tensors.keys() == found.keys()
    return True


edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6)


@SHORT
@given(edits=edits)
def test_flipped_bytes(path: Path, whole: bytes, edits: list[tuple[float, int]]) -> None:
    data = bytearray(whole)
    for place, change in edits:
        data[int(place * len(data))] ^= change
    judge(path, bytes(data))


@SHORT
@given(start=st.floats(0, 1), stop=st.floats(0, 1), put=st.binary(max_size=40))
def test_pieces_cut_out_and_put_in(path: Path, whole: bytes, start: float, stop: float, put: bytes) -> None:
    first, last = sorted((int(start * len(whole)), int(stop * len(whole))))
    data = whole[:first] + put + whole[last:]
    assert judge(path, data) == (data == whole)


aliens = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([2**31, 2**63, 10**30, -(10**30), 1e308, float("inf"), float("nan"), 1.5]),
    st.sampled_from(["", "F32", "F64", "mlp", "lenet5", "bgr", "crop", "\ud800", "x" * 300]),
    st.text(max_size=5),
    st.lists(st.integers(0, 50), max_size=4),
    st.just({}),
    st.dictionaries(st.sampled_from(["classes", "hidden", "height", "a"]), st.integers(-2, 9), max_size=2),
)


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [place]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += places(item, (*place, key))
    return found


def forged(values: Any, data: st.DataObject) -> Any:
    """A copy with one value, at any depth, removed, renamed or replaced by something alien."""
    values = copy.deepcopy(values)
    place = data.draw(st.sampled_from(places(values)[1:]))
    owner = values
    for key in place[:-1]:
        owner = owner[key]
    match data.draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"])):
        case "replace":
            owner[place[-1]] = data.draw(aliens)
        case "remove":
            del owner[place[-1]]
        case "add" if isinstance(owner, dict):
            owner[data.draw(st.text(max_size=5))] = data.draw(aliens)
        case "add":
            owner.append(data.draw(aliens))
    return values


def signed(card: str) -> dict[str, str]:
    return {
        CARD_KEY: card,
        "svertka.card.sha256": hashlib.sha256(card.encode(errors="surrogatepass")).hexdigest(),
    }


def put_together(header: Any, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@SHORT
@given(data=st.data())
def test_a_forged_card_with_the_right_digest(path: Path, whole: bytes, data: st.DataObject) -> None:
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    card = json.loads(header["__metadata__"][CARD_KEY])
    header["__metadata__"] = signed(json.dumps(forged(card, data)))
    judge(path, put_together(header, whole[8 + length :]))


@SHORT
@given(data=st.data())
def test_a_forged_header_with_the_right_digests(path: Path, whole: bytes, data: st.DataObject) -> None:
    length = int.from_bytes(whole[:8], "little")
    header, body = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    card = json.loads(header.pop("__metadata__")[CARD_KEY])
    header = forged(header, data)
    try:  # the card of a careful forger names the digest of what is there
        card["weights"] = Serialised(put_together(header, body)).digest()
    except Exception:
        card["weights"] = "0" * 64
    header["__metadata__"] = signed(json.dumps(card))
    judge(path, put_together(header, body))


def test_the_whole_file_is_taken(path: Path, whole: bytes) -> None:
    assert judge(path, whole)
