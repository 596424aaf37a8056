"""Several prompts as one: the arithmetic of blends, and what combined and timed prompts mean for a network's outputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nodegraph import NodeError
from nodegraph_nodes.diffusion import blend_prompts, combine_prompts, concat_prompts, schedule_prompts, time_prompt
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised_many
from nodegraph_nodes.types import Conditioning, Guidance, Point


def prompt(seed: int, tokens: int = 3, family: str = "sd1", pooled: bool = True) -> Conditioning:
    torch.manual_seed(seed)
    return Conditioning(torch.randn(tokens, 4), family, torch.randn(5) if pooled else None)


A, B, C = prompt(0), prompt(1), prompt(2)


class Constant:
    """A network whose output is the mean of the prompt's states everywhere."""

    family, prediction = "sd1", "flow"

    def predict(self, x: Tensor, timesteps: object, prompts: object, hints: object = None) -> Tensor:
        return prompts.states.mean((1, 2))[:, None, None, None].expand(x.shape)  # type: ignore[attr-defined]


def output(positive: Conditioning, negative: Conditioning | None = None, scale: float = 1.0, progress: float = 0.0) -> float:
    """What a guided network gives at a moment: with sigma 1 and x 0, minus the estimate."""
    evaluation = Evaluation(torch.zeros(1, 2, 2), Point(0.0, 1.0, 1000.0), Guidance(positive, negative, scale), progress)
    (estimate,) = guided_denoised_many(Constant(), [evaluation])  # type: ignore[arg-type]
    assert estimate.std() == 0
    return -float(estimate[0, 0, 0])


def says(conditioning: Conditioning) -> float:
    return float(conditioning.states.mean())


def test_a_linear_blend_is_the_line_between_states_and_between_pooled() -> None:
    found = blend_prompts(A, B, 0.3)
    assert torch.allclose(found.states, 0.7 * A.states + 0.3 * B.states)
    assert found.pooled is not None
    assert torch.allclose(found.pooled, 0.7 * A.pooled + 0.3 * B.pooled)  # type: ignore[operator]
    assert torch.equal(blend_prompts(A, B, 0).states, A.states)
    assert torch.equal(blend_prompts(A, B, 1).states, B.states)


def test_a_spherical_blend_turns_each_token_and_keeps_its_length() -> None:
    one, other = Conditioning(torch.tensor([[2.0, 0], [1, 0]]), "sd1"), Conditioning(torch.tensor([[0.0, 2], [0, 3]]), "sd1")
    found = blend_prompts(one, other, 1 / 3, "spherical").states
    angle = math.pi / 2 / 3
    length = 1 + (3 - 1) / 3
    wanted = torch.tensor([[2 * math.cos(angle), 2 * math.sin(angle)], [length * math.cos(angle), length * math.sin(angle)]])
    assert torch.allclose(found, wanted, atol=1e-6)
    assert not torch.allclose(found, blend_prompts(one, other, 1 / 3).states, atol=0.1)


def test_where_there_is_no_arc_a_spherical_blend_is_the_line() -> None:
    rows = torch.tensor([[0.0, 0], [1, 1], [1, 0]])
    others = torch.tensor([[1.0, 2], [2, 2], [-1, 0]])
    found = blend_prompts(Conditioning(rows, "sd1"), Conditioning(others, "sd1"), 0.25, "spherical").states
    assert torch.allclose(found, 0.75 * rows + 0.25 * others, atol=1e-6)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (prompt(1, tokens=6), "different numbers of tokens"),
        (prompt(1, family="sdxl"), "different kinds of models"),
        (prompt(1, pooled=False), "more than its tokens"),
        (combine_prompts(B, C), "several parts"),
    ],
)
def test_prompts_that_cannot_be_blended_say_why(other: Conditioning, says: str) -> None:
    with pytest.raises(NodeError, match=says):
        blend_prompts(A, other)


def test_added_prompts_pull_each_with_its_weight() -> None:
    found = output(combine_prompts(A, B, weights=[1.0, 0.5]), C, scale=3.0)
    away = says(C)
    assert found == pytest.approx(away + 3 * ((says(A) - away) + 0.5 * (says(B) - away)), abs=1e-5)


def test_prompts_that_share_a_pull_give_their_mean() -> None:
    assert output(combine_prompts(A, B, how="mean"), C, scale=3.0) == pytest.approx(
        says(C) + 3 * ((says(A) + says(B)) / 2 - says(C)), abs=1e-5
    )
    nested = combine_prompts(combine_prompts(A, B, how="mean"), C, how="mean")
    assert output(nested) == pytest.approx((says(A) + says(B) + says(C)) / 3, abs=1e-5)


def test_of_timed_prompts_those_count_whose_time_it_is() -> None:
    found = schedule_prompts(A, B, 0.4)
    assert output(found, progress=0.39) == pytest.approx(says(A), abs=1e-6)
    assert output(found, progress=0.4) == pytest.approx(says(B), abs=1e-6)
    by_step = schedule_prompts(A, B, step=8, steps=20)
    assert [(part.start, part.end) for part in by_step.parts] == [(0, 0.4), (0.4, 1)]
    both = combine_prompts(time_prompt(A, 0, 0.5), time_prompt(B, 0.5, 1), how="mean")
    assert output(both, C, 3.0, progress=0.2) == pytest.approx(says(C) + 3 * (says(A) - says(C)), abs=1e-5)


def test_switches_within_switches_keep_their_times() -> None:
    found = schedule_prompts(schedule_prompts(A, B, 0.2), schedule_prompts(B, C, 0.7), 0.5)
    assert [(part.start, part.end) for part in found.parts] == [(0, 0.2), (0.2, 0.5), (0.5, 0.7), (0.7, 1)]
    assert [part.states is each.states for part, each in zip(found.parts, (A, B, B, C), strict=True)] == [True] * 4
    assert schedule_prompts(A, B, 0).parts[0].states is B.states


def test_tokens_behind_tokens() -> None:
    found = concat_prompts(A, prompt(3, tokens=2))
    assert found.states.shape == (5, 4)
    assert torch.equal(found.states[:3], A.states)
    assert found.pooled is A.pooled


def test_mistakes_are_named() -> None:
    for mistake, words in (
        (lambda: combine_prompts(), "No prompt"),
        (lambda: combine_prompts(A, B, weights=[1.0]), "as many weights"),
        (lambda: combine_prompts(A, prompt(1, family="sdxl")), "different kinds"),
        (lambda: schedule_prompts(A, B, step=3), "number of steps"),
        (lambda: time_prompt(A, 0.5, 0.5), "ends before"),
        (lambda: time_prompt(time_prompt(A, 0, 0.2), 0.5, 1), "a time of its own"),
    ):
        with pytest.raises(NodeError, match=words):
            mistake()
    assert schedule_prompts.check is not None
    assert list(schedule_prompts.check({"step": 3, "steps": None}))
    assert not list(schedule_prompts.check({"step": 3}))
