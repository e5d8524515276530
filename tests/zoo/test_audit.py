"""The four design principles: a network planted to depart from one is found at that stage, a healthy one is not."""

import pytest
import torch
from torch import nn

from svertka.layers.trunk import Classifier, Trunk
from svertka.zoo import registry
from svertka.zoo.audit import PRINCIPLES, Finding, audit
from svertka.zoo.measure import measure

SHRINKING, LOCAL, FACTORISED, BALANCED = PRINCIPLES


def conv(inputs: int, outputs: int, kernel: int = 3, **arguments: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **arguments)


def healthy() -> dict[str, nn.Module]:
    return {
        "stem": conv(3, 16),
        "a": nn.Sequential(conv(16, 32, stride=2), nn.ReLU(), conv(32, 32)),
        "b": nn.Sequential(conv(32, 64, stride=2), nn.ReLU(), conv(64, 64)),
    }


def findings(stages: dict[str, nn.Module], head: nn.Module | None = None) -> list[Finding]:
    with torch.device("meta"):
        last = head or nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
        net = Classifier(Trunk(stages, in_channels=3), last, classes=10).to("meta")
    return audit(measure(net, 32, 32), (3, 32, 32))


def departures(stages: dict[str, nn.Module], head: nn.Module | None = None) -> set[tuple[str, str]]:
    return {(finding.principle, finding.stage) for finding in findings(stages, head)}


def test_a_healthy_network_departs_nowhere() -> None:
    assert findings(healthy()) == []


def test_a_bare_pooling_is_a_bottleneck() -> None:
    stages = healthy()
    planted = {"stem": stages["stem"], "pool": nn.MaxPool2d(2), "a": conv(16, 32), "b": conv(32, 64, stride=2)}
    assert departures(planted) == {(SHRINKING, "pool")}
    assert findings(planted)[0].figures == "keeps 0.25 of the representation: 16,384 numbers become 4,096"


def test_fewer_channels_on_coarser_maps() -> None:
    planted = healthy() | {"b": nn.Sequential(conv(32, 24, stride=2), conv(24, 64)), "c": conv(64, 63, stride=2)}
    found = departures(planted, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(63, 10)))
    assert (LOCAL, "c") in found
    assert (LOCAL, "b") not in found


@pytest.mark.parametrize("flatten", [nn.Flatten(), nn.Sequential(nn.Identity(), nn.Flatten(), nn.ReLU())])
def test_a_layer_that_reads_a_whole_map(flatten: nn.Module) -> None:
    found = findings(healthy(), nn.Sequential(flatten, nn.Linear(64 * 8 * 8, 10)))
    assert [(finding.principle, finding.stage) for finding in found] == [(LOCAL, "head")]
    assert "all 8 × 8 positions" in found[0].figures


@pytest.mark.parametrize(
    ("kernel", "groups", "departs"), [((5, 5), 1, True), ((1, 7), 1, False), ((5, 5), 64, False), ((3, 3), 1, False)]
)
def test_large_windows(kernel: tuple[int, int], groups: int, departs: bool) -> None:
    padding = (kernel[0] // 2, kernel[1] // 2)
    planted = healthy() | {"c": nn.Conv2d(64, 64, kernel, padding=padding, groups=groups)}
    assert departures(planted) == ({(FACTORISED, "c")} if departs else set())


def test_what_factorising_would_save() -> None:
    (found,) = findings(healthy() | {"c": conv(64, 64, 5)})
    macs = 8 * 8 * 64 * 64 * 25 / 1e6
    assert found.figures == (
        f"5 × 5 convolutions take {macs:.2f} M MACs; 3 × 3 ones of the same field would take {macs * 18 / 25:.2f} M"
    )


def test_depth_that_grows_alone() -> None:
    deep = nn.Sequential(conv(32, 64, stride=2), *(conv(64, 64) for _ in range(40)))
    assert departures(healthy() | {"b": deep}) == {(BALANCED, "b")}


def test_hidden_layers_of_the_head_that_are_far_wider() -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 4096), nn.ReLU(), nn.Linear(4096, 10))
    assert departures(healthy(), head) == {(BALANCED, "head")}


def test_parallel_branches_are_no_depth() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branches = nn.ModuleList(conv(64, 64) for _ in range(40))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([branch(x) for branch in self.branches]).sum(0)

    assert departures(healthy() | {"c": Branches()}) == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet50", {(FACTORISED, "conv1")}),
        ("vgg16", {*((SHRINKING, f"pool{n}") for n in range(1, 6)), (LOCAL, "head"), (BALANCED, "head")}),
        ("inception_v2", {(SHRINKING, "conv3")}),
        ("mobilenet", set()),
    ],
)
def test_networks_of_the_lectures(name: str, expected: set[tuple[str, str]]) -> None:
    record = registry.record(name)
    with torch.device("meta"):
        net = registry.build(name, {})
    found = audit(measure(net, record.image_size, record.image_size), (3, record.image_size, record.image_size))
    assert {(finding.principle, finding.stage) for finding in found} == expected
