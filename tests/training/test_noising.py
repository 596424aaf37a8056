"""What a denoiser learns, against diffusers' schedulers, the sampler's own reading of outputs, and formulas written out."""

import math

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler

from nodegraph_nodes.diffusion.predict import to_denoised
from nodegraph_nodes.training.tasks.noising import Emphasis, Levels, Noising
from nodegraph_nodes.types import NoiseProcess, Point

CPU = torch.device("cpu")
FLOW, PRESERVING = NoiseProcess("rectified_flow"), NoiseProcess("variance_preserving")
KINDS = (("epsilon", PRESERVING), ("v", PRESERVING), ("flow", FLOW))


def noising(prediction="v", process=PRESERVING, **emphasis):
    return Noising(process, prediction, Emphasis(**emphasis), CPU)


def some(seed, count=6):
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def random(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("zero", [False, True])
def test_noisy_latents_and_targets_are_those_of_diffusers_ddpm_scheduler(zero):
    theirs = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=zero, clip_sample=False
    )
    ours = noising(process=NoiseProcess("variance_preserving", zero_terminal_snr=zero))
    steps = torch.tensor([0, 1, 250, 500, 998, 999])
    levels = ours.levels((steps + 0.5) / 1000)
    assert torch.equal(levels.timestep, steps.float())
    clean, noise = some(1), some(2)
    assert torch.allclose(ours.add(clean, noise, levels), theirs.add_noise(clean, noise, steps), atol=1e-3 if zero else 1e-5)
    assert torch.allclose(
        ours.target(clean, noise, levels), theirs.get_velocity(clean, noise, steps), atol=1e-3 if zero else 1e-5
    )


def test_a_flow_is_noised_as_diffusers_flow_scheduler_does():
    theirs, ours = FlowMatchEulerDiscreteScheduler(), noising("flow", FLOW)
    clean, noise = some(1), some(2)
    times = theirs.timesteps[[0, 100, 400, 700, 900, 999]]
    levels = ours.levels(times / 1000)
    assert torch.allclose(ours.add(clean, noise, levels), theirs.scale_noise(clean, times, noise), atol=1e-5)
    assert torch.allclose(levels.timestep, times, atol=1e-3)
    assert torch.equal(ours.target(clean, noise, levels), noise - clean)


@pytest.mark.parametrize(("prediction", "process"), KINDS)
def test_the_target_of_each_prediction_means_the_clean_latent_to_the_sampler(prediction, process):
    ours, clean, noise = noising(prediction, process), some(3), some(4)
    levels = ours.levels(torch.linspace(0.05, 0.9, 6))
    noisy, target = ours.add(clean, noise, levels), ours.target(clean, noise, levels)
    assert torch.allclose(ours.estimate(noisy, target, levels), clean, atol=1e-4)
    for row in range(6):
        point = Point(*(float(part[row]) for part in levels))
        assert torch.allclose(to_denoised(noisy[row], target[row], prediction, point), clean[row], atol=1e-4)


def test_min_snr_weights_are_those_of_the_paper():
    alpha = torch.tensor([0.99, 0.9, 0.7, 0.3, 0.05])
    sigma = (1 - alpha**2).sqrt()
    levels, snr = Levels(alpha, sigma, torch.zeros(5)), [float(a**2 / s**2) for a, s in zip(alpha, sigma, strict=True)]
    epsilon = noising("epsilon", min_snr=5.0).weights(levels)
    assert epsilon.tolist() == pytest.approx([min(s, 5) / s for s in snr], rel=1e-4)
    assert noising("v", min_snr=5.0).weights(levels).tolist() == pytest.approx([min(s, 5) / (s + 1) for s in snr], rel=1e-4)
    assert noising("v").weights(levels).tolist() == [1.0] * 5


@pytest.mark.parametrize(("prediction", "process"), KINDS)
def test_min_snr_weighs_an_error_of_the_clean_latent_alike_whatever_is_predicted(prediction, process):
    ours = noising(prediction, process, min_snr=5.0)
    levels = ours.levels(torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9, 0.95]))
    clean, noise, wrong = some(1), some(2), 0.1 * some(3)
    noisy, target = ours.add(clean, noise, levels), ours.target(clean, noise, levels)
    output_error = wrong.square().mean((1, 2, 3))
    clean_error = (ours.estimate(noisy, target + wrong, levels) - clean).square().mean((1, 2, 3))
    snr = (levels.alpha / levels.sigma).square().clamp(max=5)
    assert torch.allclose(ours.weights(levels) * output_error, snr * clean_error, rtol=1e-3)


def test_uniform_times_fall_into_every_tenth_alike():
    levels = noising("flow", FLOW).draw(1000, random())
    counts = torch.histc(levels.sigma, 10, 0, 1)
    assert (counts - 100).abs().max() <= 1


def test_logit_normal_times_have_the_mean_and_deviation_that_were_asked_for():
    levels = noising("flow", FLOW, sampling="logit_normal", mean=0.7, std=1.4).draw(20_000, random())
    logits = torch.logit(levels.sigma)
    assert float(logits.mean()) == pytest.approx(0.7, abs=0.02)
    assert float(logits.std()) == pytest.approx(1.4, abs=0.02)


def test_times_follow_a_curve():
    never = ((0.0, 0.0), (0.5, 0.0), (0.5001, 1.0), (1.0, 1.0))
    sigma = noising("flow", FLOW, sampling="curve", curve=never).draw(1000, random()).sigma
    assert float(sigma.min()) >= 0.499
    ramp = noising("flow", FLOW, sampling="curve", curve=((0.0, 0.0), (1.0, 1.0))).draw(20_000, random()).sigma
    assert float(ramp.mean()) == pytest.approx(2 / 3, abs=0.005)  # density 2 t
    assert float((ramp < 0.5).float().mean()) == pytest.approx(0.25, abs=0.01)


def test_offset_noise_shifts_whole_channels():
    plain, shifted = (noising(offset=offset).noise(torch.zeros(400, 3, 8, 8), random()) for offset in (0.0, 0.5))
    assert float(plain.mean((2, 3)).std()) == pytest.approx(1 / 8, rel=0.1)
    assert float(shifted.mean((2, 3)).std()) == pytest.approx(math.hypot(1 / 8, 0.5), rel=0.1)


@pytest.mark.parametrize(("prediction", "process"), KINDS)
def test_a_level_is_found_by_its_signal_to_noise_ratio(prediction, process):
    levels = noising(prediction, process).at_log_snr(-2.0, 3)
    ratio = 2 * torch.log(levels.alpha / levels.sigma)
    assert ratio.tolist() == pytest.approx([-2.0] * 3, abs=1e-4)
