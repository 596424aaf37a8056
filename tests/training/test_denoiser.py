"""Training a denoiser: its loss falls, an interruption changes nothing, and data that lack something are refused."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from nodegraph import Cancelled, NodeError
from nodegraph_nodes.diffusion.families.layouts import POSITIONS, layout_shares, layout_states
from nodegraph_nodes.training import train_denoiser
from nodegraph_nodes.training.data import PLAIN, Pick, Reader, held_out
from nodegraph_nodes.training.loop import Share
from nodegraph_nodes.training.tasks import encoding
from nodegraph_nodes.training.tasks.captions import encode_captions
from nodegraph_nodes.training.tasks.denoiser_networks import Told, UNetShape, new_unet
from nodegraph_nodes.training.tasks.fresh import Fresh
from nodegraph_nodes.training.tasks.further import Holes, random_mask
from nodegraph_nodes.training.tasks.starting import begun_from
from nodegraph_nodes.training.tasks.stock import stock_of
from nodegraph_nodes.training.tasks.telling import Telling
from nodegraph_nodes.types import Denoiser, NoiseProcess, PreviewFactors, TrainingPlan
from training.discs import discs, ground_and_sky
from training.tiny import AUTOENCODER, LENGTH, TEXT_ENCODER, WIDTH, TinyAutoencoder, TinyDenoiser, TinyTextEncoder, context

CPU = torch.device("cpu")
PLAN = TrainingPlan(
    steps=12, batch=8, learning_rate=4e-3, warmup=2, average=0.5, save_every=4, show_every=12, precision="float32", seed=3
)
SMALL = {"channels": [16, 32], "heads": 2, "prompts": ["an apple", "a boat"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return discs(tmp_path_factory.mktemp("discs"))


@pytest.fixture(scope="module")
def labelled(data):
    names = tuple(entry.subject for entry in data.entries)
    entries = (dataclasses.replace(entry, label=number) for number, entry in enumerate(data.entries))
    return dataclasses.replace(data, entries=tuple(entries), classes=names)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    return ground_and_sky(tmp_path_factory.mktemp("maps"))


def train(folder, data, plan=PLAN, text_encoder=TEXT_ENCODER, denoiser=None, more=None, **settings):
    made, _ = context(folder, denoiser, **(more or {}))
    return train_denoiser(made, data, plan, AUTOENCODER, text_encoder, **{**SMALL, **settings})


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return train(tmp_path_factory.mktemp("trained"), data, dataclasses.replace(PLAN, steps=40, show_every=20))


def test_the_error_on_held_out_pictures_falls(trained):
    errors = [value for _, value in trained.denoiser.history.columns["error"]]
    assert len(errors) == 2
    assert errors[-1] < 0.85 * errors[0]
    assert trained.loss == errors[-1]


def test_what_comes_out_is_a_diffusers_unet_that_draws_the_prompts(trained):
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_config(json.loads(trained.denoiser.config))
    unet.load_state_dict(trained.denoiser.tensors)
    assert (unet.config.cross_attention_dim, unet.config.class_embed_type) == (WIDTH, "simple_projection")
    assert trained.samples.shape == (16, 32, 3)
    assert (trained.denoiser.native_size, trained.denoiser.conditioning) == ((16, 16), "prompt")
    factors = torch.tensor(trained.denoiser.preview.factors)  # a latent is its colour as -1..1
    assert torch.allclose(factors, 0.5 * torch.eye(3), atol=0.02)


def test_a_training_that_was_interrupted_comes_to_the_same_weights_and_encodes_nothing_again(data, tmp_path):
    whole = train(tmp_path / "whole", data)
    done = []
    more = {"on_progress": lambda step, steps: done.append(step if steps == PLAN.steps else -1)}
    with pytest.raises(Cancelled):
        train(tmp_path / "parts", data, more={**more, "is_cancelled": lambda: bool(done) and done[-1] >= 7})
    made, networks = context(tmp_path / "parts")
    resumed = train_denoiser(made, data, PLAN, AUTOENCODER, TEXT_ENCODER, **SMALL)
    coder = next(network for network in networks.values() if isinstance(network, TinyAutoencoder))
    assert coder.encoded == 0
    for name, tensor in whole.denoiser.tensors.items():
        assert torch.equal(tensor, resumed.denoiser.tensors[name]), name


def test_a_denoiser_goes_on_from_another_one(trained, data, tmp_path):
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_config(json.loads(trained.denoiser.config))
    unet.load_state_dict(trained.denoiser.tensors)
    plan = dataclasses.replace(PLAN, steps=1, learning_rate=1e-9, warmup=0, average=0.0, weight_decay=0.0)
    again = train(tmp_path, data, plan, denoiser=TinyDenoiser(unet), start=started(trained))
    assert again.loss == pytest.approx(trained.loss, rel=1e-4)


def started(trained, **more):
    made = trained.denoiser
    preview = PreviewFactors(((0.0, 0.0, 0.0),) * 3, (0.5, 0.5, 0.5))
    recipe = Denoiser("starter", "x", "d", made.prediction, made.process, 3, 2, 4, (16, 16), preview)
    return dataclasses.replace(recipe, **more)


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_other_predictions_are_trained_with_min_snr_weights(data, tmp_path, prediction):
    made = train(tmp_path, data, prediction=prediction, min_snr=5.0, times="uniform", variants=1)
    assert made.denoiser.process.kind == "variance_preserving"
    assert np.isfinite(made.loss)


def test_classes_are_told_by_number_and_the_last_one_means_none(labelled, tmp_path):
    made = train(tmp_path, labelled, text_encoder=None, conditioning="class", variants=1)
    assert made.denoiser.tensors["class_embedding.weight"].shape[0] == 9
    assert (made.denoiser.classes, made.denoiser.conditioning) == (labelled.classes, "class")
    assert not any("attn2" in name for name in made.denoiser.tensors)


def test_nothing_is_told_where_nothing_is_wanted(data, tmp_path):
    made = train(tmp_path, data, text_encoder=None, conditioning="none", variants=1)
    assert made.denoiser.conditioning == "none"
    assert made.samples.shape[0] == 2 * 16


@pytest.mark.parametrize(("settings", "channels"), [({"conditioning": "layout"}, 0), ({"conditioning": "none"}, 2)])
def test_layouts_are_read_by_attention_or_as_further_channels(mapped, tmp_path, settings, channels):
    further = "layout" if channels else "nothing"
    made = train(tmp_path, mapped, text_encoder=None, variants=1, further=further, **settings).denoiser
    assert (made.concat_channels, made.regions) == (channels, ("ground", "sky"))
    assert json.loads(made.config)["in_channels"] == 3 + channels
    if not channels:
        assert json.loads(made.config)["cross_attention_dim"] == 2 + POSITIONS


def test_an_inpainting_model_begins_as_the_ordinary_one_that_it_starts_from(trained, data, tmp_path):
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_config(json.loads(trained.denoiser.config))
    unet.load_state_dict(trained.denoiser.tensors)
    wide = begun_from(unet, started(trained), AUTOENCODER, concat=4)
    x, holes = torch.randn(2, 3, 8, 8), torch.randn(2, 4, 8, 8)
    told = torch.randn(2, LENGTH, WIDTH), torch.randn(2, WIDTH)
    with torch.no_grad():
        ours = wide(torch.cat([x, holes], 1), 300, told[0], class_labels=told[1]).sample
        theirs = unet(x, 300, told[0], class_labels=told[1]).sample
    assert torch.allclose(ours, theirs, atol=1e-5)
    made = train(tmp_path, data, denoiser=TinyDenoiser(unet), start=started(trained), further="inpainting", variants=2)
    assert made.denoiser.concat_channels == 4
    assert float(made.denoiser.tensors["conv_in.weight"][:, 3:].abs().max()) > 0


def test_holes_are_told_as_the_inpainting_node_tells_them():
    from nodegraph_nodes.diffusion import inpaint_guidance
    from nodegraph_nodes.types import Conditioning, Guidance

    coder, pixels = TinyAutoencoder(), torch.rand(1, 16, 16, 3)
    told = Holes(coder).of([], pixels, coder.encode(pixels), [5])
    guidance = Guidance(Conditioning(torch.zeros(1, 1), "starter"), None, 1.0)
    made, _ = context(None)
    node = inpaint_guidance(made, guidance, AUTOENCODER, pixels[0], random_mask(16, 16, 5))
    assert torch.equal(told[0], node.concat)


def test_masks_are_of_several_kinds_and_their_own_every_time():
    masks = torch.stack([random_mask(32, 24, seed) for seed in range(200)])
    assert masks.shape == (200, 32, 24)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    covered = masks.mean((1, 2))
    assert 0.05 < float((covered == 1).float().mean()) < 0.2
    assert 0.05 < float((covered == 0.5).float().mean()) < 0.3
    assert float(covered.min()) > 0


def test_a_layout_becomes_shares_of_regions_and_places():
    maps = torch.zeros(1, 16, 16, dtype=torch.uint8)
    maps[:, :, 9:] = 1
    maps[:, 15, 15] = 200  # no region
    found = layout_shares(maps, 2, (8, 8))
    assert found[0, 1, 0].tolist() == [0, 0, 0, 0, 0.5, 1, 1, 1]
    assert found[0, :, 7, 7].tolist() == [0, 0.75]
    states = layout_states(found)
    assert states.shape == (1, 64, 2 + POSITIONS)
    assert torch.equal(states[0, :, 1], found[0, 1].flatten())
    assert len(states[0, :, 2:].unique(dim=0)) == 64


# ---- what is kept ----


def test_encoded_captions_are_kept_without_padding_and_come_back_whole():
    encoder = TinyTextEncoder()
    texts = ["a cat", "a", "a cat", "a very long caption that is cut"]
    book = encode_captions(encoder, texts)
    assert len(encoder.texts) == 4
    assert len(book.tokens) == 1 + 6 + 2 + LENGTH
    states, pooled = book[torch.tensor([book.number[text] for text in ["", *texts]])]
    for row, text in enumerate(["", *texts]):
        told = encoder.encode([text])[0]
        assert torch.allclose(states[row], told.states, atol=2e-3)
        assert torch.allclose(pooled[row], told.pooled, atol=2e-3)


def test_a_stock_holds_each_variant_as_the_reader_gives_it(data, tmp_path):
    made, _ = context(tmp_path)
    stock = stock_of(made, "pictures", data, 3, TinyAutoencoder(), TinyTextEncoder(), 7, Share())
    again = stock_of(made, "pictures", data, 3, None, None, 7, Share())  # from the file
    for pick in (Pick(0, 0, 0), Pick(5, 2, 0), Pick(5, 5, 0), Pick(2, PLAIN, 0)):
        wanted = Reader(data, seed=7).read(pick._replace(draw=max(0, pick.draw) % 3))
        for found in (stock, again):
            batch = found.take(found.collate([found.read(pick)]), CPU)
            latent = TinyAutoencoder().encode(wanted.pixels[None].float() / 255)
            assert torch.allclose(batch.latents, latent, atol=2e-3)
            assert found.captions.texts[int(batch.captions[0])] == wanted.caption


def test_pictures_that_are_encoded_as_they_are_read_are_the_same(data):
    fresh = Fresh(data, TinyAutoencoder(), TinyTextEncoder(), None, 7)
    picks = [Pick(entry, 11, 0) for entry in (1, 4, 6)]
    batch = fresh.take(fresh.collate([fresh.read(pick) for pick in picks]), CPU)
    for row, pick in enumerate(picks):
        wanted = Reader(data, seed=7).read(pick)
        assert torch.allclose(batch.latents[row], TinyAutoencoder().encode(wanted.pixels[None].float() / 255)[0], atol=1e-5)
        assert batch.book.texts[int(batch.captions[row])] == wanted.caption


def test_a_training_may_encode_as_it_reads(data, tmp_path):
    made, _ = context(tmp_path)
    out = train_denoiser(made, data, PLAN, AUTOENCODER, TEXT_ENCODER, **{**SMALL, "variants": 0})
    assert np.isfinite(out.loss)
    assert not (tmp_path / "pictures.safetensors").exists()


def test_broken_pictures_are_left_out(data, tmp_path):
    broken = dataclasses.replace(data.entries[0], file="missing.png")
    made, _ = context(tmp_path)
    some = dataclasses.replace(data, entries=(broken, *data.entries[1:]))
    stock = stock_of(made, "x", some, 20, TinyAutoencoder(), None, 0, Share())
    assert len(stock.kept[0].latents) == 160
    assert torch.equal(stock.kept[0].latents[0], stock.kept[0].latents[20])  # the next one stands in for it
    with pytest.raises(NodeError, match="cannot be read"):
        stock_of(made, "y", dataclasses.replace(data, entries=(broken,)), 1, TinyAutoencoder(), None, 0, Share())


def test_what_was_encoded_in_parts_is_not_encoded_again(data, tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "_PART", 3)
    done, coder = [], TinyAutoencoder()
    stop = {"on_progress": lambda step, steps: done.append(step), "is_cancelled": lambda: bool(done) and done[-1] >= 6}
    with pytest.raises(Cancelled):
        stock_of(context(tmp_path / "a", **stop)[0], "x", data, 2, coder, TinyTextEncoder(), 0, Share())
    assert coder.encoded == 6
    made, _ = context(tmp_path / "a")
    parts = stock_of(made, "x", data, 2, coder, TinyTextEncoder(), 0, Share())
    assert coder.encoded == 16
    whole = stock_of(context(tmp_path / "b")[0], "x", data, 2, coder, TinyTextEncoder(), 0, Share())
    assert torch.equal(parts.kept[0].latents, whole.kept[0].latents)
    assert parts.captions.texts == whole.captions.texts
    assert [file.name for file in made.scratch.iterdir()] == ["x.safetensors"]


def test_of_so_many_pictures_nothing_is_told(data, tmp_path):
    made, _ = context(tmp_path)
    stock = stock_of(made, "pictures", data, 1, TinyAutoencoder(), TinyTextEncoder(), 0, Share())
    batch = next(stock.batches(8, CPU))
    silent = torch.tensor([True, False] * 4)
    heard = Telling("prompt", pools=True).hear(batch, silent)
    empty = TinyTextEncoder().encode([""])[0]
    assert all(torch.allclose(states, empty.states, atol=2e-3) for states in heard.states[silent])
    assert all(torch.allclose(whole, empty.pooled, atol=2e-3) for whole in heard.classes[silent])
    assert all(not torch.allclose(states, empty.states, atol=2e-3) for states in heard.states[~silent])
    told = Telling("class", classes=5).hear(batch._replace(labels=torch.tensor([0, 1, 2, 3, 4, -1, 0, 1])), silent)
    assert told.classes.tolist() == [5, 1, 5, 3, 5, 5, 5, 1]


# ---- what is refused ----


def refused(folder, data, **settings):
    with pytest.raises(NodeError) as error:
        train(folder, data, **settings)
    return error.value


def test_a_prompt_needs_captions_and_an_encoder(data, tmp_path):
    bare = [dataclasses.replace(entry, captions=(), subject="") for entry in data.entries]
    assert refused(tmp_path, dataclasses.replace(data, entries=tuple(bare))).socket == "data"
    assert refused(tmp_path, data, text_encoder=None).socket == "text_encoder"
    assert refused(tmp_path, dataclasses.replace(data, entries=())).socket == "data"


def test_classes_and_layouts_must_be_there(data, labelled, mapped, tmp_path):
    assert "classes" in str(refused(tmp_path, data, conditioning="class"))
    assert "layout" in str(refused(tmp_path, data, conditioning="layout"))
    assert "layout" in str(refused(tmp_path, data, further="layout"))
    other = dataclasses.replace(labelled, classes=labelled.classes[::-1])
    assert refused(tmp_path, labelled, validation=other, conditioning="class").socket == "validation"
    assert refused(tmp_path, labelled, validation=data, conditioning="class").socket == "validation"
    assert refused(tmp_path, mapped, conditioning="layout", further="inpainting").socket == "further"


def test_sizes_heads_and_levels_must_fit(data, tmp_path):
    odd = dataclasses.replace(data, buckets=((18, 16),))
    assert (refused(tmp_path, odd).socket, refused(tmp_path, odd).expected[:14]) == ("data", "multiples of 4")
    assert refused(tmp_path, data, heads=3).socket == "heads"
    assert refused(tmp_path, data, channels=[9, 32]).socket == "channels"
    assert refused(tmp_path, data, attention_levels=[2]).socket == "attention_levels"
    assert refused(tmp_path, data, times="curve").socket == "times_curve"
    assert refused(tmp_path, data, prediction="epsilon", zero_terminal_snr=True).socket == "zero_terminal_snr"


def test_a_start_must_be_told_the_same_and_see_the_same_latents(trained, data, labelled, tmp_path):
    unet = new_unet(UNetShape((16, 32), 1, (1,), 2), Told(WIDTH + 1, 0), 3, 8)
    holder = TinyDenoiser(unet)
    assert refused(tmp_path, data, denoiser=holder, start=started(trained)).socket == "text_encoder"
    assert refused(tmp_path, data, denoiser=holder, start=started(trained, latent_channels=4)).socket == "start"
    assert refused(tmp_path, data, denoiser=holder, start=started(trained, concat_channels=5)).socket == "start"
    assert refused(tmp_path, data, denoiser=TinyDenoiser(None), start=started(trained)).socket == "start"
    told = refused(tmp_path, labelled, denoiser=holder, start=started(trained), conditioning="class")
    assert told.socket == "start"


def test_held_out_pictures_are_read_as_they_are(data):
    assert {pick.draw for pick in held_out(data, 4, 0)} == {PLAIN}


def test_the_noise_of_a_new_model_is_the_flow_that_samplers_know(trained):
    assert trained.denoiser.process == NoiseProcess("rectified_flow")
