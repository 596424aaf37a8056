"""Regions: prompts at places, by estimates of their own (latent) or inside one pass's cross-attention."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_models import LATENT_SHAPE, tiny_sd1
from torch import Tensor
from torch.nn.functional import avg_pool2d

from nodegraph import Context, Inputs, NodeError
from nodegraph_nodes.diffusion import combine_regions, denoise_step, region
from nodegraph_nodes.diffusion.denoise import denoise_steps
from nodegraph_nodes.diffusion.families import Hints, Prompts
from nodegraph_nodes.diffusion.families.attention import normalised
from nodegraph_nodes.diffusion.families.loaded import Reading
from nodegraph_nodes.diffusion.families.networks import UNetDenoiser
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised, guided_denoised_many, to_denoised
from nodegraph_nodes.diffusion.samplers import begin
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Conditioning, Denoiser, Guidance, NoiseProcess, Point, PreviewFactors

POINT = Point(alpha=0.8, sigma=0.6, timestep=400.0)
DENOISER = Denoiser(
    "sd1",
    "/m",
    "d",
    "epsilon",
    NoiseProcess("variance_preserving"),
    4,
    8,
    8,
    (64, 64),
    PreviewFactors(((0, 0, 0),) * 4, (0, 0, 0)),
)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prompt(seed: int, length: int = 7) -> Conditioning:
    return Conditioning(noise(seed, length, 32), "sd1")


def half(left: bool, size: int = 64) -> Tensor:
    mask = torch.zeros(size, size)
    mask[:, : size // 2] = 1
    return mask if left else 1 - mask


@pytest.fixture(scope="module")
def network() -> UNetDenoiser:
    return UNetDenoiser(DENOISER, tiny_sd1().unet)


class Counting:
    """A denoiser that remembers how many items each of its passes had."""

    def __init__(self, network: UNetDenoiser) -> None:
        self.network, self.passes = network, list[int]()
        self.family, self.prediction = network.family, network.prediction

    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        self.passes.append(len(x))
        return self.network.predict(x, timesteps, prompts, hints)


def estimate(network: Any, positive: Conditioning, negative: Conditioning | None = None, progress: float = 0.5) -> Tensor:
    return guided_denoised(network, noise(0, *LATENT_SHAPE), POINT, Guidance(positive, negative, 3.0), progress)


def output(network: UNetDenoiser, conditioning: Conditioning) -> Tensor:
    return network.predict(noise(0, *LATENT_SHAPE)[None], [POINT.timestep], Prompts(conditioning.states[None]))[0]


# ---- by latents ----


def test_estimates_are_combined_place_by_place_by_mask_and_weight(network):
    ramp = torch.linspace(0, 1, 64).expand(64, 64)
    parts = [(prompt(1), ramp, 2.0), (prompt(2), half(left=True), 0.5), (prompt(3), half(left=False), 1.0)]
    combined = combine_regions(*(region(p, mask, weight) for p, mask, weight in parts))
    outputs = torch.stack([output(network, p) for p, _, _ in parts])
    shares = torch.stack([weight * avg_pool2d(mask[None], 8)[0] for _, mask, weight in parts])[:, None]
    expected = (outputs * shares).sum(0) / shares.sum(0)
    torch.testing.assert_close(
        estimate(network, combined), to_denoised(noise(0, *LATENT_SHAPE), expected, "epsilon", POINT), rtol=1e-4, atol=1e-4
    )


def test_hard_regions_take_each_place_from_the_estimate_of_its_prompt_alone(network):
    """As MultiDiffusion (Bar-Tal et al. 2023, equation 5) does with masks that do not overlap."""
    combined = combine_regions(region(prompt(1), half(left=True)), region(prompt(2), half(left=False)))
    whole, left, right = estimate(network, combined), estimate(network, prompt(1)), estimate(network, prompt(2))
    torch.testing.assert_close(whole[..., :4], left[..., :4], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(whole[..., 4:], right[..., 4:], rtol=1e-4, atol=1e-4)
    assert (left - right).abs().mean() > 0.01


# ---- by attention ----


def with_attention(*regions: tuple[Conditioning, Tensor, float], **base: Any) -> Conditioning:
    return combine_regions(*(region(p, mask, weight, "attention") for p, mask, weight in regions), **base)


def test_regions_by_attention_take_one_item_of_one_pass(network):
    counting = Counting(network)
    regions = with_attention((prompt(1), half(left=True), 1.0), (prompt(2), half(left=False), 1.0), base=prompt(3))
    estimate(counting, regions, negative=prompt(4))
    assert counting.passes == [2]
    by_latents = combine_regions(region(prompt(1), half(left=True)), region(prompt(2), half(left=False)), base=prompt(3))
    estimate(counting, by_latents, negative=prompt(4))
    assert counting.passes == [2, 4]


def test_each_place_of_a_cross_attention_reads_its_own_prompts(network):
    """Against attention written out in float64 at one layer, with soft masks, weights and a place that no mask covers."""
    layer = network.cross_attentions[0]
    mask = torch.rand(8, 8, generator=torch.Generator().manual_seed(5))
    mask[0, 0] = 0
    other = (1 - mask) * 0.7
    other[0, 0] = 0
    regions = [(prompt(1), mask, 2.0), (prompt(2, length=5), other, 1.0)]
    seen: dict[str, Tensor] = {}
    hook = layer.register_forward_hook(
        lambda _, args, kwargs, out: seen.update(hidden=args[0] if args else kwargs["hidden_states"], out=out), with_kwargs=True
    )
    estimate(network, with_attention(*regions))
    hook.remove()
    hidden = seen["hidden"][0].double()  # [64, C]

    def linear(module: Any, x: Tensor) -> Tensor:
        bias = 0 if module.bias is None else module.bias.double()
        return x @ module.weight.double().T + bias

    def attend(conditioning: Conditioning) -> Tensor:
        tokens = conditioning.states.double()
        q, k, v = linear(layer.to_q, hidden), linear(layer.to_k, tokens), linear(layer.to_v, tokens)
        width = q.shape[1] // layer.heads
        heads = [slice(i * width, (i + 1) * width) for i in range(layer.heads)]
        return torch.cat([(q[:, h] @ k[:, h].T * width**-0.5).softmax(-1) @ v[:, h] for h in heads], 1)

    shares = torch.stack([weight * m.double().flatten() for _, m, weight in regions])
    total = shares.sum(0)
    shares = torch.where(total > 0, shares / total.clamp_min(1e-9), 0.5)[..., None]
    mixed = sum(share * attend(p) for share, (p, _, _) in zip(shares, regions, strict=True))
    expected = linear(layer.to_out[0], mixed)
    torch.testing.assert_close(seen["out"][0].double(), expected, rtol=1e-4, atol=1e-5)
    wrong = linear(layer.to_out[0], shares.flip(0)[0] * attend(regions[0][0]) + shares.flip(0)[1] * attend(regions[1][0]))
    assert (wrong - expected).abs().max() > 1e-3


def test_one_prompt_in_all_regions_is_that_prompt_alone(network):
    everywhere = with_attention((prompt(1), half(left=True), 1.0), (prompt(1), half(left=False), 3.0), base=prompt(1))
    torch.testing.assert_close(estimate(network, everywhere), estimate(network, prompt(1)), rtol=1e-4, atol=1e-5)


def test_regions_differ_from_each_prompt_alone_and_from_one_another_exchanged(network):
    ours = estimate(network, with_attention((prompt(1), half(left=True), 1.0), (prompt(2), half(left=False), 1.0)))
    for other in (
        prompt(1),
        prompt(2),
        with_attention((prompt(2), half(left=True), 1.0), (prompt(1), half(left=False), 1.0)),
    ):
        assert (ours - estimate(network, other)).abs().mean() > 1e-3


def test_runs_with_and_without_regions_share_a_pass_and_keep_their_values(network):
    regions = with_attention((prompt(1), half(left=True), 1.0), (prompt(2, 9), half(left=False), 1.0), base=prompt(3))
    three = with_attention(*((prompt(seed), torch.rand(16, 16), 1.0) for seed in (4, 5, 6)))
    guidances = [Guidance(regions, prompt(7), 3.0), Guidance(prompt(1), three, 5.0), Guidance(prompt(8), None, 1.0)]
    evaluations = [Evaluation(noise(i, *LATENT_SHAPE), POINT, each, 0.1) for i, each in enumerate(guidances)]
    counting = Counting(network)
    together = guided_denoised_many(counting, evaluations)
    assert counting.passes == [5]
    for ours, evaluation in zip(together, evaluations, strict=True):
        torch.testing.assert_close(ours, guided_denoised(network, *evaluation), rtol=1e-4, atol=1e-4)


def test_a_region_counts_during_its_share_of_the_steps_alone(network):
    late = region(prompt(2), half(left=False), mode="attention", start=0.5)
    both = combine_regions(late, base=prompt(1))
    torch.testing.assert_close(estimate(network, both, progress=0.4), estimate(network, prompt(1)), rtol=1e-4, atol=1e-4)
    assert (estimate(network, both, progress=0.5) - estimate(network, prompt(1))).abs().mean() > 1e-3


def test_sizes_that_halve_unevenly_are_steered_at_every_level(network):
    x = noise(0, 4, 10, 14)
    guidance = Guidance(with_attention((prompt(1), half(left=True), 1.0), (prompt(1), half(left=False), 1.0)), None, 1.0)
    alone = Guidance(prompt(1), None, 1.0)
    torch.testing.assert_close(
        guided_denoised(network, x, POINT, guidance, 0.5),
        guided_denoised(network, x, POINT, alone, 0.5),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_network_is_left_as_it_was_after_a_steered_call_even_a_failed_one(network):
    before = [layer.processor for layer in network.cross_attentions]
    estimate(network, with_attention((prompt(1), half(left=True), 1.0), (prompt(2), half(left=False), 1.0)))
    hints = Hints((0.5,), (1.0,), readings=((Reading(noise(0, 5, 31)),),))  # a width that does not fit
    with pytest.raises(RuntimeError):
        network.predict(noise(0, 1, *LATENT_SHAPE), [400.0], Prompts(prompt(1).states[None]), hints)
    assert [layer.processor for layer in network.cross_attentions] == before


def test_what_is_not_read_by_places_is_the_mean_by_area_and_weight_at_the_mean_length(network):
    seen = []

    class Pooled(Counting):
        def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
            seen.append(prompts.pooled)
            return x

    quarter = torch.zeros(8, 8)
    quarter[:4, :4] = 1
    first, second = (replace(prompt(i), pooled=(i + 1) * torch.eye(2)[i]) for i in (0, 1))
    estimate(Pooled(network), with_attention((first, quarter, 2.0), (second, 1 - quarter, 1.0)))
    mean = torch.tensor([0.5 * 1, 0.75 * 2]) / 1.25
    torch.testing.assert_close(seen[0][0], mean / mean.norm() * (0.5 * 1 + 0.75 * 2) / 1.25)


# ---- nodes ----


def test_shares_are_parts_of_one_and_alike_where_nothing_counts():
    shares = normalised(torch.tensor([[0.0, 1.0, 0.5], [0.0, 3.0, 0.0]]))
    assert shares.tolist() == [[0.5, 0.25, 1.0], [0.5, 0.75, 0.0]]


def test_a_region_within_a_region_counts_where_and_when_both_do():
    inner = region(prompt(1), half(left=True), weight=2.0, start=0.1, end=0.8)
    outer = region(inner, half(left=True).T, weight=0.5, mode="attention", start=0.3, end=0.9)
    quarter = torch.zeros(64, 64)
    quarter[:32, :32] = 1
    assert torch.equal(outer.mask, quarter)
    small = region(inner, half(left=True, size=32).T)
    assert small.mask.shape == (32, 32)
    assert small.mask.mean() == pytest.approx(0.25, abs=0.01)
    assert (outer.weight, outer.start, outer.end, outer.attend) == (1.0, 0.3, 0.8, True)


@pytest.mark.parametrize(
    ("make", "socket", "words"),
    [
        (lambda: region(prompt(1), torch.zeros(8, 8)), "mask", "empty"),
        (lambda: combine_regions(), "regions", "no regions"),
        (lambda: combine_regions(prompt(1), base=replace(prompt(2), family="sdxl")), "regions", "different kinds"),
    ],
)
def test_what_cannot_be_a_region_is_refused_clearly(make, socket, words):
    with pytest.raises(NodeError, match=words) as caught:
        make()
    assert caught.value.socket == socket


def test_regions_by_attention_are_refused_by_models_without_such_attention():
    schedule = make_schedule("normal", make_process(DENOISER.process), 4, "sd1")
    state = begin(noise(0, *LATENT_SHAPE), schedule, 0)
    guidance = Guidance(with_attention((prompt(1), half(left=True), 1.0), (prompt(2), half(left=False), 1.0)), None, 1.0)
    context = Context(load=lambda recipe: SimpleNamespace(family="sd1"))  # a network that is not a U-Net
    with pytest.raises(NodeError, match="U-Net") as caught:
        denoise_step(context, DENOISER, state, schedule, guidance)
    assert "latent" in caught.value.hint
    call = Inputs(context=context, denoiser=DENOISER, state=state, schedule=schedule, guidance=guidance, sampler="euler")
    assert [type(result) for result in denoise_steps([call, call])] == [NodeError, NodeError]
