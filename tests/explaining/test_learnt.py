"""Filters, made-up images, embeddings, attacks, pruning: each on a network of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from svertka.explaining.adversarial import Normalised, fgsm, noisy, pgd, shifted, universal
from svertka.explaining.embedding import Means, layouts, pca, tsne
from svertka.explaining.filters import first_filters
from svertka.explaining.maximisation import maximise
from svertka.explaining.pruning import pruned, pruning_sensitivity
from svertka.explaining.sanity import randomised, similarity
from svertka.explaining.targets import ChannelMean, ClassLogit, CrossEntropy

LEVEL = 1 / 255


def pixels(count: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (count, 3, 12, 10), generator=generator).float() / 255


def test_filters_are_the_first_weights_that_run(small, images: Tensor) -> None:
    net = small()
    assert torch.equal(first_filters(net, images), net.first.weight)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(360, 4))
    found = first_filters(linear, images)
    assert found.shape == (4, 3, 12, 10)
    assert torch.equal(found.flatten(1), linear[1].weight)
    with pytest.raises(ValueError, match="does not read the image"):
        first_filters(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)), images)
    with pytest.raises(ValueError, match="does not read the image"):
        first_filters(nn.ReLU(), images)


def test_made_up_images_excite_the_channel_and_stay_images(small) -> None:
    net = small()
    low, high = torch.tensor([-2.0, -1.0, -0.5]), torch.tensor([2.0, 3.0, 0.5])
    start = ((low + high) / 2)[:, None, None] + 0.02 * torch.randn(
        2, 3, 24, 24, generator=torch.Generator().manual_seed(0)
    )
    target = ChannelMean(torch.tensor([1, 5]))
    before = target(net.second(net.pool(net.relu1(net.norm(net.first(start))))))
    variation = {}
    for regularise in (True, False):
        found = maximise(net, net.second, target, start, low=low, high=high, steps=16, regularise=regularise)
        after = target(net.second(net.pool(net.relu1(net.norm(net.first(found))))))
        assert (after > before + before.abs().clamp(min=0.5)).all()
        assert (found >= low[:, None, None] - 1e-6).all()
        assert (found <= high[:, None, None] + 1e-6).all()
        variation[regularise] = found.diff(dim=2).abs().mean() + found.diff(dim=3).abs().mean()
    assert variation[True] < 0.8 * variation[False]


def test_principal_components() -> None:
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(40, 1)) * np.array([[3.0, 4.0, 0.0]])
    features = wide + 0.01 * generator.normal(size=(40, 3)) + 7
    found = pca(features)
    assert found.shape == (40, 2)
    assert abs(np.corrcoef(found[:, 0], wide[:, 0])[0, 1]) > 0.999
    assert found[:, 0].std() > 100 * found[:, 1].std()
    assert pca(features[:1]).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", ["PCA", "t-SNE", "UMAP"])
def test_layouts_keep_groups_together(name: str) -> None:
    ways = layouts()
    if name not in ways:
        pytest.skip("umap-learn is not installed")
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 12)
    features = np.eye(3, 20)[groups] * 10 + generator.normal(size=(36, 20))
    found = ways[name](features.astype(np.float32))
    assert found.shape == (36, 2)
    far = np.linalg.norm(found[:, None] - found, axis=-1)
    np.fill_diagonal(far, np.inf)
    assert (groups[far.argmin(axis=1)] == groups).mean() > 0.9
    assert np.array_equal(found, ways[name](features.astype(np.float32)))


def test_a_few_images_can_be_laid_out() -> None:
    for count in range(1, 7):
        features = np.random.default_rng(count).normal(size=(count, 5)).astype(np.float32)
        assert np.isfinite(tsne(features)).all()


def test_means_are_gathered_in_order(images: Tensor) -> None:
    means = Means()
    for part in images.split(3):
        means.add(part)
    np.testing.assert_allclose(means.features(), images.mean(dim=(2, 3)).numpy(), rtol=1e-5)


@pytest.fixture
def attacked(small) -> tuple[nn.Module, Tensor, CrossEntropy]:
    net = small()
    with torch.no_grad():
        net.head.weight.mul_(0.02)  # else the loss is so small that it has no slope
    module = Normalised(net, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    images = pixels()
    return module, images, CrossEntropy(module(images).argmax(dim=1).detach())


@pytest.mark.parametrize("levels", [1, 8, 2.5])
@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_attacks_raise_the_loss_within_their_bound(attacked, attack, levels: float) -> None:
    module, images, target = attacked
    found = attack(module, module, target, images, epsilon=levels * LEVEL)
    assert (found - images).abs().max() <= levels * LEVEL + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    torch.testing.assert_close((255 * found).round(), 255 * found, atol=1e-3, rtol=0)
    chance = noisy(images, epsilon=levels * LEVEL)
    assert (target(module(found)) > target(module(images))).all()
    assert target(module(found)).mean() > target(module(chance)).mean()


def test_many_steps_are_stronger_than_one(attacked) -> None:
    module, images, target = attacked
    losses = [
        target(module(attack(module, module, target, images, epsilon=8 * LEVEL))).mean() for attack in (fgsm, pgd)
    ]
    assert losses[1] >= 0.95 * losses[0]


def test_one_change_for_all(attacked) -> None:
    module, images, target = attacked
    change = universal(module, module, [(images, target)], epsilon=8 * LEVEL)
    assert change.shape == (3, 12, 10)
    assert change.abs().max() <= 8 * LEVEL + 1e-6
    assert target(module(shifted(images, change))).sum() > target(module(images)).sum()


def test_random_changes_have_their_size() -> None:
    images = torch.full((1, 3, 12, 10), 0.5).mul(255).round() / 255
    found = noisy(images, epsilon=8 * LEVEL)
    torch.testing.assert_close((found - images).abs(), torch.full_like(images, 8 * LEVEL))
    assert 0.3 < (found > images).float().mean() < 0.7


def test_the_smallest_weights_are_pruned(small) -> None:
    net = small()
    found = pruned(net, net.second, 0.5)
    assert list(found) == ["second.weight"]
    zeros = found["second.weight"] == 0
    assert zeros.sum() == zeros.numel() // 2
    weight = net.second.weight.detach()
    assert weight[zeros].abs().max() < weight[~zeros].abs().min()
    assert torch.equal(found["second.weight"][~zeros], weight[~zeros])
    assert torch.equal(pruned(net, net.second, 0.0)["second.weight"], weight)
    assert not pruned(net, net.second, 1.0)["second.weight"].any()
    assert pruned(net, net.norm, 0.5) == {}


def test_sensitivity_is_of_each_layer_alone(small, images: Tensor) -> None:
    net = small()
    with torch.no_grad():
        whole = net(images)
    told: list[tuple[int, int]] = []

    def score(forward) -> float:
        return float((forward(images) - whole).abs().sum())

    layers = {"first": net.first, "norm": net.norm, "head": net.head}
    found = pruning_sensitivity(
        net, layers, score, shares=(0.0, 0.5, 1.0), advance=lambda done, total: told.append((done, total))
    )
    assert list(found) == ["first", "head"]
    assert told[-1] == (9, 9)
    for scores in found.values():
        assert scores[0] == 0
        assert scores[1] > 0
        assert scores[2] > 0
    with torch.no_grad():
        assert torch.equal(net(images), whole)
        expected = float((net.head.bias - whole).abs().sum())
    assert found["head"][2] == pytest.approx(expected, rel=1e-5)


def test_random_weights_are_as_large_as_the_learnt_ones(small) -> None:
    net = small().requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    other = randomised(net)
    for (name, value), (_, mixed) in zip(net.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(value, before[name])
        if value.ndim == 1:
            assert torch.equal(mixed.sort().values, value.sort().values)
        else:
            assert not torch.equal(mixed, value)
            assert float(mixed.std()) == pytest.approx(float(value.std()), rel=0.35)
    assert torch.equal(other.norm.running_mean, net.norm.running_mean)


def test_similarity_is_of_ranks() -> None:
    values = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(0))
    assert similarity(values, values.exp()) == pytest.approx(1)
    assert similarity(values, -values) == pytest.approx(-1)
    assert similarity(values, torch.zeros(2, 5, 5)) == 0
    assert abs(similarity(values, torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(1)))) < 0.5


def test_a_class_can_be_made_up_too(small) -> None:
    net = small()
    low, high = torch.zeros(3), torch.ones(3)
    target = ClassLogit(torch.tensor([2]))
    start = torch.full((1, 3, 16, 16), 0.5)
    found = maximise(net, net, target, start + 0.01 * torch.rand(start.shape), low=low, high=high, steps=8)
    assert target(net(found)) > target(net(start))
