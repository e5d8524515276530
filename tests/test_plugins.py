"""Plug-ins: what is registered by a call or found by an entry point, and what is refused."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import svertka
from svertka import plugins
from svertka.annotations import Boxes
from svertka.data.augmentation.augment import AUGMENTATIONS, Augmentation, augment, check_names
from svertka.data.readers.reading import FORMATS, open_dataset
from svertka.data.samples import Dataset, Format
from svertka.errors import UserError
from svertka.results import Classes
from svertka.results.result import Result
from svertka.runtime.card import Card
from svertka.runtime.inputs import transform_from_json
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.series import SeriesTransform
from svertka.serving.limits import Limits
from svertka.serving.openapi import document
from svertka.task_records.record import TaskRecord, record, record_for, records, resolve
from svertka.tasks.making import task_for
from svertka.zoo import registry
from svertka.zoo.modelfile import read_card
from svertka.zoo.records import KINDS, NetFamily, NetKind, NetRecord

Install = Callable[..., None]

SAME = """
import dataclasses
import svertka
from svertka.task_records.record import record

def plug_in():
    svertka.register(dataclasses.replace(record("classification"), name="{name}"))
"""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_state", plugins._State())


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Writes a distribution with an entry point into a folder that Python finds packages in."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, module: str, *, version: str = "1.0", target: str = "plug_in") -> None:
        installed(tmp_path, name, module, version=version, target=target)
        monkeypatch.delitem(sys.modules, name.replace("-", "_"), raising=False)
        importlib.invalidate_caches()

    return write


def installed(folder: Path, name: str, module: str, *, version: str = "1.0", target: str = "plug_in") -> None:
    (folder / f"{name.replace('-', '_')}.py").write_text(module)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    where = name.replace("-", "_") + (f":{target}" if target else "")
    (info / "entry_points.txt").write_text(f"[svertka.plugins]\nmain = {where}\n")


def new_task(**changes: object) -> TaskRecord:
    return dataclasses.replace(record("classification"), **{"name": "sorting", **changes})


NET = NetRecord(name="own_lenet", builder="svertka.nets.lenet:LeNet5", image_size=32, smallest=32)


def halved(images: np.ndarray, chance: object) -> np.ndarray:
    del chance
    return images // 2


def test_what_is_registered_is_found_by_name() -> None:
    family = NetFamily(
        prefix="own/", record=lambda name: dataclasses.replace(NET, name=name), names=lambda: ["own/small"]
    )
    kind = NetKind("embedder", "vectors", "stretch", "--net embedding")
    nothing = Format(
        "nothing", "nothing at all", lambda path: path.name == "nothing", lambda path: Dataset(path, "", {})
    )
    darker = Augmentation("darker", halved)
    svertka.register(new_task(contract="embedder"), kind, NET, family, nothing, darker)
    assert record("sorting").name == "sorting"
    assert records()[-1].name == "sorting"
    assert KINDS["embedder"] is kind
    assert registry.record("own_lenet") is NET
    assert registry.build("own_lenet", {"classes": 3}).classes == 3
    assert registry.record("own/any").name == "own/any"
    assert "own/any" not in {known.name for known in registry.records()}
    assert "nothing" in FORMATS
    check_names(["darker"])
    images = np.full((1, 4, 4, 3), 200, np.uint8)
    assert (augment(images, ["darker"], seed=0, epoch=0, indices=np.zeros(1, np.int64)) == 100).all()


class Noise(SeriesTransform):
    """A media type that Svertka has none like."""

    media = "noise"
    graph_input = "noise"


NOISE = {"channels": 8, "length": 1, "mean": [0.0] * 8, "std": [1.0] * 8}


def test_a_media_type_of_a_plug_in_is_read_from_a_card(tiny_model: Path) -> None:
    values = json.loads(read_card(tiny_model).to_json()) | {"input": {"media": "noise", **NOISE}, "golden": []}
    with pytest.raises(UserError, match=r"^here: its network takes the media type 'noise', .*; one of: image, series$"):
        Card.from_json(json.dumps(values), where="here")
    values["provenance"] = {"plugins": {"dreams": "1.2"}}
    with pytest.raises(UserError, match=r"the file says that it needs the plug-in dreams 1\.2: install it"):
        Card.from_json(json.dumps(values), where="here")
    svertka.register(Noise)
    card = Card.from_json(json.dumps(values), where="here")
    assert card.input == transform_from_json("noise", NOISE)
    assert type(card.input) is Noise
    assert json.loads(card.to_json())["input"]["media"] == "noise"


class Height(Result):
    """A result that Svertka has none like."""

    schema = {"type": "object", "required": ["metres"]}  # noqa: RUF012

    def to_json(self) -> dict[str, object]:
        return {"metres": 3}

    def line(self) -> str:
        return "3 m"


def test_a_result_of_a_plug_in_is_drawn_as_its_line_on_what_its_input_is_shown_by() -> None:
    picture = np.full((40, 60, 3), 255, np.uint8)
    (drawn,) = Height().pictures(picture).values()
    assert drawn.size == (60, 40)
    assert np.asarray(drawn)[0, 0].tolist() == [0, 0, 0]
    assert (picture == 255).all()


def test_a_result_of_a_plug_in_stands_in_the_description_of_what_is_served() -> None:
    svertka.register(Height)
    schemas = document("1", Limits())["components"]["schemas"]
    assert schemas["Height"] == Height.schema
    assert {"$ref": "#/components/schemas/Height"} in schemas["Prediction"]["properties"]["result"]["oneOf"]


def test_a_format_of_a_plug_in_comes_before_class_folders(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    found = Dataset(tmp_path, "nothing at all", {})
    svertka.register(Format("nothing", "nothing at all", lambda path: path.name == "nothing", lambda _: found))
    assert open_dataset(tmp_path / "nothing") is found
    assert list(FORMATS)[-1] == "nothing"


def test_svertkas_own_go_through_the_same_registries() -> None:
    assert list(plugins.registered("task")) == [task.name for task in records()]
    assert list(plugins.registered("augmentation")) == list(AUGMENTATIONS)
    assert plugins.registered("result")["Classes"] is Classes
    svertka.register(
        *records(), *registry.records(), *KINDS.values(), *FORMATS.values(), *AUGMENTATIONS.values(), Classes
    )
    assert plugins.origin("task", "classification") is None


def test_an_entry_point_is_loaded_once_and_told_by_its_distribution(install: Install) -> None:
    install("sorting-plugin", SAME.format(name="sorting"), version="2.1")
    assert record("sorting").gives == "classes"
    assert plugins.distributions(("task", "sorting"), ("task", "classification")) == {"sorting-plugin": "2.1"}


@pytest.mark.parametrize("target", ["", "THINGS", "RECORD"])
def test_an_entry_point_can_name_things_too(target: str, install: Install) -> None:
    module = (
        SAME.format(name="") + 'RECORD = dataclasses.replace(record("multilabel"), name="tags")\nTHINGS = [RECORD]\n'
    )
    install("tags", module, target=target)
    assert record("tags").gives == "classes"


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raise RuntimeError('no\\nsuch library')", "RuntimeError: no such library"),
        ("def plug_in():\n    raise SystemExit(3)", "SystemExit: 3"),
        ("import svertka\ndef plug_in():\n    svertka.register(3)", "int is nothing that can be registered"),
        ("nothing = 1", "AttributeError: module 'broken' has no attribute 'plug_in'"),
        (
            "from svertka.task_records.record import TaskRecord\nTaskRecord(name='half', gives='halves')",
            "the TaskRecord 'half' lacks its contract, suits, learnt, opened, decoder",
        ),
    ],
)
def test_a_plug_in_that_raises_is_skipped_and_said_once(
    module: str, reason: str, install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("broken", module)
    install("sorting-plugin", SAME.format(name="sorting"))
    assert [record("sorting").name, record("classification").name] == ["sorting", "classification"]
    (told,) = [message for message in caplog.messages if "broken" in message]
    assert told.startswith(f"svertka: warning: the plug-in broken 1.0 is skipped: {reason}")


def test_what_a_plug_in_registered_before_it_raised_is_gone(install: Install) -> None:
    module = SAME.format(name="half") + "plug_in()\nraise ValueError\n"
    install("broken", module)
    assert "half" not in {task.name for task in records()}


def test_two_plug_ins_of_one_name_are_one_error(install: Install) -> None:
    install("one", SAME.format(name="sorting").replace("name=", 'gives="ones", name='))
    install("two", SAME.format(name="sorting"))
    for _ in range(2):  # it is not forgotten
        with pytest.raises(UserError, match=r"plug-in one 1\.0 and the plug-in two 1\.0 both have a task called 'sor"):
            svertka.list_nets("lenet5")


def test_a_name_of_svertkas_own_is_taken() -> None:
    with pytest.raises(UserError, match=r"module .*test_plugins has a task called 'detection', and so has Svertka"):
        svertka.register(new_task(name="detection"))


def test_an_entry_point_cannot_take_a_name_of_svertkas_own(install: Install) -> None:
    install("one", SAME.format(name="detection"))
    with pytest.raises(UserError, match=r"the plug-in one 1\.0 has a task called 'detection', and so has Svertka"):
        records()


def test_all_or_nothing_is_registered() -> None:
    with pytest.raises(UserError, match="nothing that can be registered"):
        svertka.register(NET, "own_lenet")
    with pytest.raises(UserError, match="unknown network 'own_lenet'"):
        registry.record("own_lenet")


def test_a_cell_of_a_notebook_can_be_run_again() -> None:
    cell = {"__name__": "__main__", "svertka": svertka, "task": new_task}
    exec("svertka.register(task(gives='ones'))", cell)  # noqa: S102
    exec("svertka.register(task(gives='twos'))", cell)  # noqa: S102
    assert record("sorting").gives == "twos"


class Half(Result):
    """A result that lacks its line of text."""

    def to_json(self) -> dict[str, object]:
        return {}


class Sound(SeriesTransform):
    """A media type that lacks what the input of a graph is called."""

    media = "sound"
    graph_input = ""


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: TaskRecord(name="half"), "the TaskRecord 'half' lacks its gives, contract, suits"),
        (lambda: NetRecord(name="half", smallest=1), "the NetRecord 'half' lacks its builder, image_size"),
        (lambda: Format("half", "half"), "the Format 'half' lacks its fits, read"),
        (lambda: new_task(decoder=""), "the task 'sorting' lacks its decoder; decoder is where it lives"),
        (lambda: new_task(decoder="svertka.runtime"), "the task 'sorting' lacks its decoder"),
        (lambda: new_task(suits=None), "the task 'sorting' lacks its suits"),
        (lambda: new_task(contract="clasifier"), "unknown kind 'clasifier'; did you mean classifier"),
        (lambda: new_task(name=" "), "a task is called ' '"),
        (lambda: new_task(name="a\x1b[31m"), "a task is called 'a"),
        (lambda: dataclasses.replace(NET, builder=None), "the network 'own_lenet' lacks its builder"),
        (lambda: dataclasses.replace(NET, kind="embeder"), "network 'own_lenet' is of the unknown kind 'embeder'"),
        (lambda: dataclasses.replace(NET, smallest=0), "the smallest of the network 'own_lenet' is 0"),
        (lambda: Augmentation("mixup", halved), "called 'mixup', and so is one of Svertka's"),
        (lambda: Augmentation("darker", None), "the augmentation 'darker' lacks its pixels"),
        (lambda: Half, "the result 'Half' lacks its line"),
        (lambda: Sound, "the media type 'sound' lacks its graph_input"),
        (lambda: TaskRecord, "type is nothing that can be registered|TaskRecord is nothing that can be registered"),
    ],
)
def test_a_record_that_lacks_a_part(make: Callable[[], object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        svertka.register(make())
    assert_all_is_there()


def assert_all_is_there() -> None:
    for kind, name in (("task", "classification"), ("network", "lenet5"), ("network kind", "classifier")):
        assert name in plugins.registered(kind)


def test_a_plug_in_whose_record_is_refused_takes_nothing_with_it(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(
        "odd",
        SAME.format(name="") + 'RECORD = dataclasses.replace(record("multilabel"), name="a", contract="?")\n',
        target="RECORD",
    )
    assert_all_is_there()
    assert "the plug-in odd 1.0 is skipped: " in caplog.text


def test_a_decoder_that_is_not_there_is_found_out_before_training() -> None:
    svertka.register(new_task(name="anything", suits=bool, decoder="svertka.errors:nothing"))
    with pytest.raises(UserError, match=r"a plug-in's record names 'svertka\.errors:nothing', and there is no such"):
        task_for([3], ["a", "b"], Preprocess(height=4, width=4), name="anything")  # type: ignore[list-item]


def test_a_reference_to_nothing_is_named() -> None:
    for reference in ("svertka.no_such:thing", "svertka.errors:thing"):
        with pytest.raises(UserError, match=f"a plug-in's record names '{reference}', and there is no such thing"):
            resolve(reference)
    assert resolve(len) is len


def test_a_task_is_chosen_by_name_or_by_what_it_suits() -> None:
    anything, asked = new_task(name="anything", suits=bool), new_task(name="asked", asked=True)
    series = new_task(name="series", media="series")
    svertka.register(anything, asked, series)
    assert record_for(["a"]) is record("classification")  # before any plug-in's
    assert record_for([3]) is anything  # type: ignore[list-item]
    assert record_for(["a"], name="asked") is asked
    assert record_for(["a"], "series") is series
    with pytest.raises(UserError, match="unknown task 'aksed'; did you mean asked"):
        record_for(["a"], name="aksed")
    with pytest.raises(UserError, match="the task series learns from series, and these are images"):
        record_for(["a"], name="series")
    with pytest.raises(UserError, match="the task asked does not learn from these annotations; they are for detection"):
        record_for([Boxes((), (2, 2))], name="asked")


@pytest.mark.parametrize(
    ("told", "hint"),
    [
        (
            {"sorting-plugin": "2.1"},
            "the file says that it needs the plug-in sorting-plugin 2.1: install it if you trust",
        ),
        ({"a": "1", "b": "2"}, "needs the plug-in a 1 and b 2"),
        ({f"p{number}": "1" for number in range(9)}, "p3 1: install"),
        ({"x" * 1000: "1"}, None),
        ({"x\x1b[31m": "1"}, None),
        ({"x": "1; rm -rf ."}, None),
        ({"x": 3}, None),
        (["x"], None),
        (None, None),
    ],
)
def test_what_a_card_says_of_plug_ins_is_text(told: object, hint: str | None) -> None:
    found = plugins.missing_hint({"plugins": told})
    assert (found is None) == (hint is None)
    if hint is not None and found is not None:
        assert hint in found
        with pytest.raises(UserError, match="unknown task 'sorting' in the card; the file says"):
            record("sorting", {"plugins": told})


def test_commands_tell_a_broken_plug_in_in_one_line_and_help_does_not_look(tmp_path: Path) -> None:
    installed(tmp_path, "broken", "raise ImportError('no libfoo')")
    run = {"capture_output": True, "text": True, "check": True, "env": {"PYTHONPATH": str(tmp_path), "PATH": ""}}
    command = [sys.executable, "-c", "from svertka.cli import main; main()"]
    assert subprocess.run([*command, "--help"], **run).stderr == ""  # type: ignore[call-overload]
    told = subprocess.run([*command, "nets", "lenet"], **run)  # type: ignore[call-overload]
    assert told.stderr == "svertka: warning: the plug-in broken 1.0 is skipped: ImportError: no libfoo\n"
    assert "lenet5" in told.stdout
    imported = "import sys, svertka; svertka.UserError; assert 'importlib.metadata' not in sys.modules"
    subprocess.run([sys.executable, "-c", imported], **run)  # type: ignore[call-overload]
