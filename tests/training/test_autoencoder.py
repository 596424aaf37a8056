"""Training autoencoders: both kinds learn, a latent space grows unchanged, a codebook is kept alive, bad input is told."""

import math
import sys

import pytest
import torch
from torch import nn

from nodegraph import Context, NodeError
from nodegraph_nodes.training import keep_autoencoder, plan_training, train_autoencoder
from nodegraph_nodes.training.losses import (
    PerceptualDistance,
    adaptive_weight,
    gradient_distance,
    hinge_loss,
    load_efficientnet,
)
from nodegraph_nodes.training.tasks.autoencoder_networks import (
    Passing,
    Shape,
    channels_for,
    even_out,
    new_autoencoder,
    revive,
    widen_latents,
)
from training.discs import discs

TINY = {"downscale": 4, "channels": [8, 8, 16], "layers": 1, "attention": False, "codebook": 16}
QUIET = {"perceptual": "none", "perceptual_weight": 0.0, "adversarial_weight": 0.0}


def plan(steps: int = 40, **more):
    given = {"batch": 4, "learning_rate": 3e-3, "warmup": 2, "average": 0.8, "show_every": 20, "save_every": 20}
    return plan_training(steps=steps, **{**given, **more})


def context(folder, **more) -> Context:
    return Context(scratch_root=folder, models_root=folder / "models", load=loading, **more)


def loading(recipe):
    from nodegraph_nodes.diffusion.families import load_autoencoder

    return load_autoencoder(recipe, torch.device("cpu"))


@pytest.mark.parametrize("regularisation", ["kl", "vq"])
def test_both_kinds_learn_to_see(tmp_path, regularisation):
    data = discs(tmp_path)
    made = train_autoencoder(context(tmp_path), data, plan(80), regularisation=regularisation, **TINY, **QUIET)
    columns = made.autoencoder.history.columns
    assert columns["loss"][-1][1] < columns["loss"][0][1] / 2
    assert columns["psnr"][-1][1] > columns["psnr"][0][1]
    assert made.psnr == columns["psnr"][-1][1]
    assert ("codebook" in columns) == (regularisation == "vq")
    assert made.reconstructions.shape == (32, 8 * 16, 3)


def test_what_is_kept_encodes_and_decodes_as_it_was_trained(tmp_path):
    data = discs(tmp_path)
    for kind in ("kl", "vq"):
        made = train_autoencoder(context(tmp_path / kind), data, plan(20), regularisation=kind, **TINY, **QUIET)
        recipe = keep_autoencoder(context(tmp_path), made.autoencoder, f"tiny-{kind}", "float32")
        network = loading(recipe)
        pixels = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(1))
        latents = network.encode(pixels)
        assert latents.shape == (2, 4, 4, 4)
        passing = Passing(new_autoencoder(Shape(kind, 4, 4, (8, 8, 16), 1, 16, False), 16)).eval()
        passing.network.load_state_dict(dict(made.autoencoder.tensors))
        with torch.no_grad():
            wanted, _, _ = passing(pixels.movedim(-1, 1) * 2 - 1, None)
        assert torch.allclose(network.decode(latents), (wanted / 2 + 0.5).clamp(0, 1).movedim(1, -1), atol=1e-4)


def test_latents_are_normalised_by_what_was_measured(tmp_path):
    data = discs(tmp_path)
    made = train_autoencoder(context(tmp_path), data, plan(20), **TINY, **QUIET)
    recipe = keep_autoencoder(context(tmp_path), made.autoencoder, "tiny", "float32")
    from nodegraph_nodes.training.data import Reader, held_out

    pictures = torch.stack([Reader(data).read(pick).pixels for pick in held_out(data, 8, 0)]).float() / 255
    latents = loading(recipe).encode(pictures)
    assert latents.mean().item() == pytest.approx(0, abs=1e-3)
    assert torch.allclose(latents.std((0, 2, 3)), torch.ones(4), atol=2e-2)  # of each channel


def test_a_decoder_alone_gets_better_and_latents_stay(tmp_path):
    data = discs(tmp_path)
    first = train_autoencoder(context(tmp_path / "a"), data, plan(20), **TINY, **QUIET)
    start = keep_autoencoder(context(tmp_path), first.autoencoder, "first", "float32")
    second = train_autoencoder(context(tmp_path / "b"), data, plan(40), start=start, trained="decoder", **QUIET)
    assert second.psnr > first.psnr
    again = keep_autoencoder(context(tmp_path), second.autoencoder, "second", "float32")
    pixels = torch.rand(1, 16, 16, 3)
    assert torch.equal(loading(start).encode(pixels), loading(again).encode(pixels))
    assert not torch.equal(
        first.autoencoder.tensors["decoder.conv_out.weight"], second.autoencoder.tensors["decoder.conv_out.weight"]
    )


def test_a_discriminator_takes_part_from_its_step_on(tmp_path):
    data = discs(tmp_path)
    settings = {**QUIET, "adversarial_weight": 0.5, "adversarial_start": 6}
    made = train_autoencoder(context(tmp_path), data, plan(8), **TINY, **settings)
    assert [step for step, _ in made.autoencoder.history.columns["discriminator"]] == [7, 8]


def test_more_latent_channels_change_no_picture():
    torch.manual_seed(0)
    network = new_autoencoder(Shape("kl", 4, 4, (8, 8, 16), 1, 16, True), 16).eval()
    wide = widen_latents(network, 6).eval()
    assert wide.config.latent_channels == 6
    pictures = torch.rand(2, 3, 16, 16) * 2 - 1
    noise = torch.randn(2, 6, 4, 4)
    for given in (None, noise):
        before = Passing(network)(pictures, None if given is None else given[:, :4])
        after = Passing(wide)(pictures, given)
        assert torch.allclose(before.made, after.made, atol=1e-5)
    latents = Passing(wide).latents(pictures)
    assert torch.allclose(Passing(network).latents(pictures), latents[:, :4], atol=1e-5)
    assert latents[:, 4:].abs().max() > 0  # there is something to learn from


def test_channels_are_evened_out_and_pictures_stay():
    torch.manual_seed(0)
    network = new_autoencoder(Shape("kl", 4, 4, (8, 8, 16), 1, 16, True), 16).eval()
    network.quant_conv.weight.data[1] *= 1e-2  # a channel that says much in small numbers
    pictures = torch.rand(8, 3, 16, 16) * 2 - 1
    before, posterior = Passing(network)(pictures, None).made, network.encode(pictures).latent_dist
    mean, std = posterior.mean.mean((0, 2, 3)).detach(), posterior.mean.std((0, 2, 3)).detach()
    even_out(network, mean, std)
    after = network.encode(pictures).latent_dist
    assert torch.allclose(Passing(network)(pictures, None).made, before, atol=1e-5)
    assert torch.allclose(after.mean.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(after.mean.std((0, 2, 3)), torch.ones(4), atol=1e-4)
    assert torch.allclose(after.std, posterior.std / std.view(1, -1, 1, 1), rtol=1e-3)


def test_the_kl_term_is_torchs_own_divergence():
    torch.manual_seed(0)
    network = new_autoencoder(Shape("kl", 2, 3, (8, 8), 1, 16, False), 8).eval()
    pictures = torch.rand(2, 3, 8, 8) * 2 - 1
    posterior = network.encode(pictures).latent_dist
    ours = torch.distributions.Normal(posterior.mean, posterior.std)
    unit = torch.distributions.Normal(torch.zeros_like(posterior.mean), torch.ones_like(posterior.std))
    expected = torch.distributions.kl_divergence(ours, unit).mean()
    assert Passing(network)(pictures, None).regular.item() == pytest.approx(expected.item(), rel=1e-5)


def test_dead_entries_come_to_where_latents_are():
    codebook = nn.Embedding(4, 2)
    codebook.weight.data.fill_(100.0)
    latents = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    count = revive(codebook, torch.tensor([5.0, 0.0, 0.0, 1.0]), latents, torch.Generator().manual_seed(0))
    assert count == 2
    assert all(any(torch.equal(row, latent) for latent in latents) for row in codebook.weight[1:3])
    assert codebook.weight[[0, 3]].eq(100).all()


def test_a_dead_codebook_ends_the_training_in_words(tmp_path, monkeypatch):
    from nodegraph_nodes.training.tasks import autoencoder as module

    monkeypatch.setattr(module, "_COLLAPSED_AFTER", 2)
    monkeypatch.setattr(module, "revive", lambda *_: 0)
    data = discs(tmp_path)
    torch.manual_seed(0)

    def dead(shape, size):
        network = new_autoencoder(shape, size)
        network.quantize.embedding.weight.data.fill_(0.0).requires_grad_(False)
        network.quantize.embedding.weight.data[1:] = 1e4
        return network

    monkeypatch.setattr(sys.modules["nodegraph_nodes.training.train_autoencoder"], "new_autoencoder", dead)
    with pytest.raises(NodeError, match="codebook is dead: 1 of its 16") as caught:
        train_autoencoder(context(tmp_path), data, plan(12, show_every=3, save_every=3), regularisation="vq", **TINY, **QUIET)
    assert "checkpoint is kept" in (caught.value.hint or "")
    assert (tmp_path / "state.json").exists()


@pytest.mark.parametrize(
    ("given", "socket"),
    [
        ({"downscale": 3}, "downscale"),
        ({"downscale": 8, "channels": [8, 16]}, "channels"),
        ({"downscale": 32, "channels": None, "width": 8}, "data"),
        ({"trained": "decoder"}, "start"),
        ({"perceptual": "lpips", "perceptual_weight": 1.0}, "lpips_weights"),
    ],
)
def test_bad_input_is_told_before_anything_is_trained(tmp_path, given, socket):
    with pytest.raises(NodeError) as caught:
        train_autoencoder(context(tmp_path), discs(tmp_path), plan(2), **{**TINY, **QUIET, **given})
    assert caught.value.socket == socket
    assert not (tmp_path / "state.json").exists()


# ---- losses ----


def test_channels_double_up_to_four_times():
    assert channels_for(8, 32) == (32, 64, 128, 128)
    assert channels_for(1, 32) == (32,)


def test_the_adaptive_weight_makes_both_pulls_equal():
    last = torch.tensor([1.0, 2.0], requires_grad=True)
    first, second = (3 * last).sum(), (0.5 * last).sum()
    weight = adaptive_weight(first, second, last)
    assert weight.item() == pytest.approx(6.0, rel=1e-3)


def test_hinge_loss_by_hand():
    assert hinge_loss(torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 0.5])).item() == pytest.approx(0.5 * (0.5 + 0.75))


def test_gradient_distance_sees_edges_and_not_light():
    picture = torch.rand(1, 3, 16, 16)
    assert gradient_distance(picture + 0.3, picture).item() == pytest.approx(0, abs=1e-6)
    assert gradient_distance(picture.roll(1, 3), picture).item() > 0.05


class _Two(nn.Module):
    def forward(self, pictures):
        return [pictures, pictures.square()[:, :2]]


def test_perceptual_distance_by_hand():
    made, wanted = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    weights = [torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.3, 0.7])]
    expected = 0.0
    for layer, weight in zip(range(2), weights, strict=True):
        total = 0.0
        for b in range(2):
            for y in range(4):
                for x in range(4):
                    vectors = []
                    for picture in (made, wanted):
                        values = picture[b, :, y, x].tolist()
                        values = values if layer == 0 else [value * value for value in values[:2]]
                        length = math.sqrt(sum(value * value for value in values))
                        vectors.append([value / length for value in values])
                    total += sum(w * (p - q) ** 2 for w, p, q in zip(weight.tolist(), *vectors, strict=True))
        expected += total / 32
    assert PerceptualDistance(_Two(), weights)(made, wanted).item() == pytest.approx(expected, rel=1e-4)


def test_the_packaged_network_finds_blur_worse_than_noise_of_the_same_size():
    pytest.importorskip("efficientnet_lite_pytorch")
    distance = load_efficientnet()
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    sharp = torch.where(((x // 8 + y // 8) % 2 == 0)[None, None], 0.8, -0.8).expand(1, 3, -1, -1)
    blurred = nn.functional.avg_pool2d(nn.functional.pad(sharp, (2, 2, 2, 2), mode="reflect"), 5, 1)
    noise = torch.randn(sharp.shape, generator=generator)
    slight = sharp + 0.02 * noise
    assert distance(sharp, sharp).item() == pytest.approx(0, abs=1e-5)
    assert distance(slight, sharp).item() < distance(blurred, sharp).item()
