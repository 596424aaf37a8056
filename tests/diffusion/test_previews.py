"""Tiny autoencoders: every layout decodes as diffusers does, and what a run shows is decoded with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from tiny_models import tiny_sd1
from torch import Tensor

from nodegraph import Graph, NodeError, Session
from nodegraph.engine import NodePreview
from nodegraph_nodes import diffusion
from nodegraph_nodes.diffusion import load_preview_decoder, preview_with
from nodegraph_nodes.diffusion.denoise import denoise_step
from nodegraph_nodes.diffusion.families import (
    BrokenModel,
    MissingTensors,
    UndecidedFamily,
    UnknownModel,
    base_of,
    describe_tiny,
    load_autoencoder,
)
from nodegraph_nodes.diffusion.predict import preview_image
from nodegraph_nodes.diffusion.previews import in_progress
from nodegraph_nodes.diffusion.samplers import begin
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Conditioning, Denoiser, Guidance, NoiseProcess, PreviewFactors

PROCESS = NoiseProcess("rectified_flow")
DENOISER = Denoiser("sd1", "", "", "flow", PROCESS, 4, 8, 8, (64, 64), PreviewFactors(((1.0, 0.5, 0.0),) * 4, (0, 0, 0)))
LAYOUTS = ["folder", "diffusers names", "original", "original decoder"]


def tiny(channels: int = 4) -> AutoencoderTiny:
    torch.manual_seed(3)
    widths = (16,) * 4
    return AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths, latent_channels=channels
    ).requires_grad_(False)


def original(network: AutoencoderTiny) -> dict[str, Tensor]:
    """The layout of madebyollin/taesd: nn.Sequential(Clamp(), conv, ReLU, ...) and nn.Sequential(conv, Block, ...)."""
    parts = {"encoder": list(network.encoder.layers), "decoder": [torch.nn.Identity(), *network.decoder.layers]}
    return {
        f"{part}.{number}.{name}": tensor
        for part, layers in parts.items()
        for number, layer in enumerate(layers)
        for name, tensor in layer.state_dict().items()
    }


@pytest.fixture(scope="module")
def theirs() -> AutoencoderTiny:
    return tiny()


@pytest.fixture(scope="module")
def places(theirs: AutoencoderTiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("taesd")
    theirs.save_pretrained(root / "taesd")
    both = original(theirs)
    decoder = {name.removeprefix("decoder."): t for name, t in both.items() if name.startswith("decoder.")}
    for name, tensors in (("taesd_diffusers", theirs.state_dict()), ("taesd_both", both), ("taesd_decoder", decoder)):
        save_file({key: tensor.clone() for key, tensor in tensors.items()}, root / f"{name}.safetensors")
    files = (root / f"{name}.safetensors" for name in ("taesd_diffusers", "taesd_both", "taesd_decoder"))
    return dict(zip(LAYOUTS, (root / "taesd", *files), strict=True))


def latents(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def near(first: Tensor, second: Tensor) -> None:
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_decodes_and_encodes_as_diffusers_does(
    layout: str, places: dict[str, Path], theirs: AutoencoderTiny
) -> None:
    recipe = describe_tiny(places[layout], "digest")
    assert (recipe.family, recipe.latent_channels, recipe.downscale, recipe.shift, recipe.scale) == ("sd1", 4, 8, 0, 1)
    network = load_autoencoder(recipe, "cpu")
    samples = latents(2, 4, 8, 6) * 2
    expected = (theirs.decode(samples).sample / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert expected.std() > 0.01
    near(network.decode(samples), expected)
    pixels = torch.rand(1, 64, 48, 3, generator=torch.Generator().manual_seed(1))
    if layout == "original decoder":
        with pytest.raises(ValueError, match="a decoder alone"):
            network.encode(pixels)
        return
    near(network.encode(pixels), theirs.encode(pixels.permute(0, 3, 1, 2) * 2 - 1).latents)
    with pytest.raises(ValueError, match="multiples of 8"):
        network.encode(pixels[:, :60])


@pytest.mark.parametrize(
    ("channels", "name", "family"),
    [(4, "taesd", "sd1"), (4, "taesdxl_decoder", "sdxl"), (16, "taesd3", "sd3"), (16, "taef1_decoder", "flux")],
)
def test_channels_and_name_tell_the_family(channels: int, name: str, family: str, tmp_path: Path) -> None:
    save_file({key: tensor.clone() for key, tensor in original(tiny(channels)).items()}, tmp_path / f"{name}.safetensors")
    assert describe_tiny(tmp_path / f"{name}.safetensors", "").family == family


def test_what_tells_nothing_and_what_is_no_tiny_autoencoder_is_said(places: dict[str, Path], tmp_path: Path) -> None:
    nameless = tmp_path / "mine.safetensors"
    nameless.write_bytes(places["original"].read_bytes())
    with pytest.raises(UndecidedFamily, match="neither it nor its name"):
        describe_tiny(nameless, "")
    assert describe_tiny(nameless, "", "sdxl").family == "sdxl"
    with pytest.raises(BrokenModel, match="those of flux"):
        describe_tiny(nameless, "", "flux")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    for path in (tmp_path / "x.safetensors", tmp_path / "nothing", tmp_path):
        with pytest.raises(UnknownModel, match="tiny autoencoder"):
            describe_tiny(path, "")
    cut = original(tiny())
    del cut["decoder.4.conv.2.bias"]
    save_file({key: tensor.clone() for key, tensor in cut.items()}, tmp_path / "taesd.safetensors")
    with pytest.raises(MissingTensors, match=r"decoder\.layers\.3\.conv\.2\.bias"):
        load_autoencoder(describe_tiny(tmp_path / "taesd.safetensors", ""), "cpu")
    save_file({key: tensor.clone() for key, tensor in original(tiny(5)).items()}, tmp_path / "five.safetensors")
    with pytest.raises(BrokenModel, match="5 channels"):
        describe_tiny(tmp_path / "five.safetensors", "")


def test_the_nodes_say_what_does_not_fit(places: dict[str, Path], tmp_path: Path) -> None:
    def file(path: Path) -> Any:
        return SimpleNamespace(name=path.name, path=str(path), digest="digest")

    decoder = load_preview_decoder(file(places["original decoder"]))
    assert decoder == describe_tiny(places["original decoder"], "digest")
    assert load_preview_decoder(file(places["original"]), "sdxl").family == "sdxl"
    nameless = tmp_path / "mine.safetensors"
    nameless.write_bytes(places["original"].read_bytes())
    with pytest.raises(NodeError, match="does not tell") as caught:
        load_preview_decoder(file(nameless))
    assert "sd1 or sdxl" in str(caught.value.hint)
    with pytest.raises(NodeError, match="cannot be used"):
        load_preview_decoder(file(tmp_path))
    shown = preview_with(DENOISER, decoder)
    assert shown.preview_decoder == decoder
    assert base_of(shown) == DENOISER, "both share one network"
    with pytest.raises(NodeError, match="another kind of model"):
        preview_with(replace(DENOISER, family="sdxl"), decoder)
    assert preview_with(replace(DENOISER, family="sd2"), decoder).preview_decoder == decoder


@pytest.mark.parametrize(("shape", "size"), [((4, 8, 6), (64, 48)), ((4, 128, 64), (512, 256)), ((4, 64, 96), (344, 512))])
def test_a_preview_has_at_most_512_pixels_a_side(
    shape: tuple[int, ...], size: tuple[int, int], places: dict[str, Path]
) -> None:
    shown = preview_with(DENOISER, describe_tiny(places["folder"], ""))
    network = load_autoencoder(describe_tiny(places["folder"], ""), "cpu")
    picture = in_progress(latents(*shape), shown, lambda recipe: network)
    assert picture.shape == (*size, 3)
    if max(shape) <= 64:
        assert torch.equal(picture, network.decode(latents(*shape)[None])[0])
    assert torch.equal(in_progress(latents(*shape), DENOISER, lambda recipe: network), preview_image(latents(*shape), DENOISER))


def test_a_step_decodes_its_estimate_only_when_somebody_looks(places: dict[str, Path]) -> None:
    recipe = describe_tiny(places["folder"], "")
    shown, network = preview_with(DENOISER, recipe), load_autoencoder(recipe, "cpu")
    schedule = make_schedule("normal", make_process(PROCESS), 4, "sd1")
    prompt = Conditioning(torch.zeros(2, 3), "sd1")
    asked: list[Any] = []

    class Network:
        family, prediction = "sd1", "flow"

        def predict(self, x: Tensor, *_: Any) -> Tensor:
            return x / 2

    def resident(wanted: Any) -> Any:
        asked.append(wanted)
        return network if wanted == recipe else Network()

    def step(looks: Callable[[Any], None]) -> Any:
        context: Any = SimpleNamespace(resident=resident, preview=looks)
        return denoise_step(context, shown, begin(latents(4, 8, 8), schedule, 0), schedule, Guidance(prompt, None, 1.0))

    unseen = step(lambda picture: None)
    assert recipe not in asked
    pictures: list[Any] = []
    seen = step(lambda picture: pictures.append(picture()))
    assert torch.equal(seen.x, unseen.x)
    assert (pictures[0].width, pictures[0].height) == (64, 64)
    expected = (network.decode(seen.denoised[None])[0] * 255).round().byte().numpy().tobytes()
    assert pictures[0].rgb == expected


@pytest.mark.slow
def test_a_run_that_is_watched_shows_decoded_pictures_and_gives_the_same_result(
    places: dict[str, Path], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    (models / "vae_approx").mkdir(parents=True)
    tiny_sd1().save_pretrained(models / "checkpoints" / "tiny")
    (models / "vae_approx" / "taesd_decoder.safetensors").write_bytes(places["original decoder"].read_bytes())
    shown: dict[str, list[tuple[int, int]]] = {}
    with Session(tmp_path / "data", models=[models / "checkpoints", models / "vae_approx"]) as session:
        graph = Graph("Watched", session)
        model = graph.add(diffusion.load_model, "model", model="tiny")
        decoder = graph.add(load_preview_decoder, "decoder", model="taesd_decoder")
        watched = graph.add(preview_with, "watched", denoiser=model.denoiser, autoencoder=decoder)
        prompt = graph.add(diffusion.encode_prompt, "prompt", encoder=model.text_encoder, text="a red apple")
        guidance = graph.add(diffusion.guidance, "guidance", positive=prompt, scale=1.0)
        for name, denoiser in (("plain", model.denoiser), ("seen", watched)):
            noise = graph.add(diffusion.sample_noise, f"{name}_noise", denoiser=denoiser, width=64, height=64)
            schedule = graph.add(diffusion.noise_schedule, f"{name}_schedule", denoiser=denoiser, steps=2)
            begun = graph.add(diffusion.begin_denoise, f"{name}_begin", noise=noise, schedule=schedule)
            options = {"denoiser": denoiser, "schedule": schedule, "guidance": guidance, "steps": 2}
            graph.add(diffusion.denoise, name, state=begun, **options)

        def see(event: Any) -> None:
            if isinstance(event, NodePreview):
                shown.setdefault(event.node.split("/")[0], []).append((event.preview.width, event.preview.height))

        result = graph.workflow().run(wanted=["plain.latent", "seen.latent"], listener=see)
    assert torch.equal(result["plain.latent"].samples, result["seen.latent"].samples)
    assert shown == {"plain": [(8, 8)] * 2, "seen": [(64, 64)] * 2}
