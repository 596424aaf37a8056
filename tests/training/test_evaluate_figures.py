"""The figures of evaluation against closed forms, written-out sums and float64 eigen-decompositions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.training import frechet_distance, kernel_distance
from nodegraph_nodes.training.evaluate import (
    Names,
    by_caption,
    clip_scores,
    mean_pairwise_distance,
    mean_pairwise_error,
    ranks,
    similarity,
    top,
)
from nodegraph_nodes.training.evaluate import frechet_distance as frechet
from nodegraph_nodes.training.evaluate import kernel_distance as kernel
from nodegraph_nodes.training.evaluate.kernel import discrepancy
from nodegraph_nodes.types import FeatureNetwork, Features

NETWORK = FeatureNetwork("efficientnet_lite0", "", "abc", "head", 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(vectors: Tensor, mean: Tensor, deviations: Tensor) -> Tensor:
    """Vectors moved so that their mean and covariance are exactly these: diag(deviations^2)."""
    centred = vectors - vectors.mean(0)
    factor = torch.linalg.cholesky(centred.T @ centred / (len(vectors) - 1))
    return torch.linalg.solve_triangular(factor, centred.T, upper=False).T * deviations + mean


def by_eigenvalues(x: Tensor, y: Tensor) -> float:
    """The formula as the paper has it: the root of a product of covariances, by its eigenvalues."""
    one, other = torch.cov(x.T), torch.cov(y.T)
    roots = torch.linalg.eigvals(one @ other).real.clamp_min(0).sqrt().sum()
    return float((x.mean(0) - y.mean(0)).square().sum() + one.trace() + other.trace() - 2 * roots)


def test_the_distance_of_gaussians_with_commuting_covariances_is_that_of_their_deviations() -> None:
    mean, other_mean = torch.tensor([1.0, -2, 0.5, 0]).double(), torch.tensor([0.0, 1, 0.5, 3]).double()
    deviations, others = torch.tensor([1.0, 0.5, 2, 3]).double(), torch.tensor([2.0, 0.25, 2, 1]).double()
    x = with_moments(rand(50, 4), mean, deviations)
    y = with_moments(rand(80, 4, seed=1), other_mean, others)
    wanted = (mean - other_mean).square().sum() + (deviations - others).square().sum()
    assert frechet(x, y) == pytest.approx(wanted.item(), rel=1e-9)


@pytest.mark.parametrize(("first", "second"), [(200, 300), (200, 12), (9, 12)])
def test_the_distance_of_any_covariances_is_the_papers(first: int, second: int) -> None:
    mixing = rand(20, 20, seed=5)
    x, y = rand(first, 20) @ mixing, rand(second, 20, seed=1) @ mixing.T + 0.3
    assert frechet(x, y) == pytest.approx(by_eigenvalues(x, y), rel=1e-6)


def test_a_set_is_at_no_distance_from_itself_and_a_moved_one_at_the_squared_way() -> None:
    x = rand(64, 6)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet(x, x + 0.5) == pytest.approx(6 * 0.25, rel=1e-9)


def test_the_kernel_estimate_is_the_written_out_double_sum() -> None:
    x, y = rand(7, 5), rand(9, 5, seed=1)

    def k(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / 5 + 1) ** 3

    within_x = sum(k(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_y = sum(k(y[i], y[j]) for i in range(9) for j in range(9) if i != j) / (9 * 8)
    between = sum(k(a, b) for a in x for b in y) / (7 * 9)
    wanted = within_x + within_y - 2 * between
    assert float(discrepancy(x, y)) == pytest.approx(wanted, rel=1e-12)
    biased = within_x * 6 / 7 + sum(k(a, a) for a in x) / 49 + within_y - 2 * between
    assert abs(biased - wanted) > 0.01  # the diagonal would show


def test_the_kernel_estimate_of_equal_distributions_is_near_zero_on_average_where_frechet_is_not() -> None:
    values = [kernel(rand(40, 8, seed=2 * s), rand(40, 8, seed=2 * s + 1)).mean for s in range(60)]
    distances = [frechet(rand(40, 8, seed=2 * s), rand(40, 8, seed=2 * s + 1)) for s in range(60)]
    mean, error = torch.tensor(values).mean(), torch.tensor(values).std() / 60**0.5
    assert abs(mean) < 3 * error
    assert min(distances) > 0.2  # eight dimensions, forty pictures: biased upwards
    assert kernel(rand(40, 8), rand(40, 8, seed=1) + 1).mean > 20 * abs(mean)


def test_subsets_are_drawn_by_the_seed_and_tell_how_uncertain_the_figure_is() -> None:
    x, y = rand(60, 4), rand(50, 4, seed=1)
    found = kernel(x, y, subsets=20, subset=30, seed=3)
    assert found == kernel(x, y, subsets=20, subset=30, seed=3)
    assert found != kernel(x, y, subsets=20, subset=30, seed=4)
    assert found.subset == 30
    assert found.deviation > 0
    assert kernel(x, y).subset == 50


def features(vectors: Tensor, network: FeatureNetwork = NETWORK) -> Features:
    return Features(vectors.float(), network)


def test_too_few_pictures_for_a_covariance_are_said_in_the_result() -> None:
    assert "19 of the vectors' 64 dimensions" in frechet_distance(features(rand(200, 64)), features(rand(20, 64))).note
    assert frechet_distance(features(rand(200, 64)), features(rand(90, 64))).note == ""
    assert "30 pictures" in kernel_distance(features(rand(30, 8)), features(rand(40, 8))).note


def test_sets_that_do_not_compare_are_refused() -> None:
    other = FeatureNetwork("efficientnet_lite0", "", "abc", "block 3", 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    with pytest.raises(NodeError, match="different networks") as caught:
        frechet_distance(features(rand(9, 4)), features(rand(9, 4), other))
    assert caught.value.socket == "features"
    for refused in (rand(1, 4), torch.zeros(0, 4)):
        with pytest.raises(NodeError, match="two pictures at least"):
            kernel_distance(features(rand(9, 4)), features(refused))
    with pytest.raises(NodeError, match="no numbers"):
        frechet_distance(features(rand(9, 4) * math.nan), features(rand(9, 4)))


def test_clip_scores_are_cosines_times_two_and_a_half_and_never_negative() -> None:
    pictures, texts = torch.tensor([[3.0, 0], [1, 1], [1, 0]]), torch.tensor([[2.0, 0], [1, 0], [-1, 0]])
    torch.testing.assert_close(clip_scores(pictures, texts), torch.tensor([2.5, 2.5 / 2**0.5, 0]))
    torch.testing.assert_close(similarity(pictures, texts)[1], torch.tensor([1.0, 1, -1]) / 2**0.5)


def test_ranks_count_what_is_scored_as_high_against_the_right_answer() -> None:
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    assert ranks(scores, [1, 0, 2]) == [1, 2, 3]  # an answer that is all alike is no hit
    assert ranks(torch.full((1, 3), torch.nan), [0]) == [3]  # nor is one that is no number
    assert top([1, 2, 3, 6], 1) == 0.25
    assert top([1, 2, 3, 6], 5) == 0.75


def test_variety_is_the_mean_over_all_pairs() -> None:
    vectors = torch.tensor([[1.0, 0], [0, 2], [1, 1]])
    wanted = (1 + 2 * (1 - 1 / 2**0.5)) / 3
    assert mean_pairwise_distance(vectors) == pytest.approx(wanted)
    assert mean_pairwise_distance(torch.ones(4, 3)) == pytest.approx(0, abs=1e-12)
    pictures = [torch.full((2, 2, 3), value) for value in (0.0, 0.5, 1.0)]
    assert mean_pairwise_error(pictures) == pytest.approx((0.5 + 1 + 0.5) / 3)
    with pytest.raises(ValueError, match="two"):
        mean_pairwise_distance(vectors[:1])
    assert by_caption(["a", "b", "a "]) == {"a": [0, 2], "b": [1]}


def test_captions_name_classes_by_whole_words_the_longest_first() -> None:
    classes = ("apple", "cat", "red apple", "o'clock", "hot dog", "dog")
    names = Names(classes)

    def said(caption: str) -> list[str]:
        return [classes[i] for i in names.named(caption)]

    assert said("A red apple on a green background") == ["red apple"]
    assert said("half hot dog, half cat; a cat!") == ["hot dog", "cat"]
    assert said("a catalogue of dogs") == []
    assert said("five o’clock") == ["o'clock"]
