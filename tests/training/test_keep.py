"""Keeping trained models: what is written loads as it was, whole or not at all, and nothing else is ever replaced."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from nodegraph import Context, NodeError
from nodegraph.api.paths import shipped
from nodegraph.store.files import Digests
from nodegraph_nodes.diffusion.families import describe_autoencoder, describe_model, load_autoencoder, load_denoiser
from nodegraph_nodes.training import keep_autoencoder, keep_model
from nodegraph_nodes.training.keeping import digest_of, place_model, write_network
from nodegraph_nodes.training.tasks.autoencoder_networks import Shape, new_autoencoder
from nodegraph_nodes.training.tasks.denoiser_networks import Told, UNetShape, new_unet
from nodegraph_nodes.types import History, NoiseProcess, PreviewFactors, TrainedAutoencoder, TrainedDenoiser

CPU = torch.device("cpu")
STARTER = shipped("models") / "starter"
HISTORY = History({"loss": ((1, 0.5), (2, 0.25))})


def context(folder: Path) -> Context:
    return Context(
        scratch_root=folder / "scratch", models_root=folder / "models", load=lambda recipe: load_autoencoder(recipe, CPU)
    )


def autoencoder(kind: str = "kl", seed: int = 0) -> TrainedAutoencoder:
    torch.manual_seed(seed)
    network = new_autoencoder(Shape(kind, 4, 4, (8, 8, 16), 1, 16, False), 16)
    config = {name: value for name, value in network.config.items() if not name.startswith("_")}
    config["_class_name"] = type(network).__name__
    preview = PreviewFactors(((0.1, 0.2, 0.3),) * 4, (0.5, 0.5, 0.5))
    return TrainedAutoencoder(json.dumps(config), network.state_dict(), 4, 4, 0.3, 2.0, HISTORY, '{"steps": 2}', preview)


def denoiser(told: Told, **fields) -> TrainedDenoiser:
    torch.manual_seed(1)
    unet = new_unet(UNetShape((8, 16), 1, (1,), 2), told, 4, 4)
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    given = {"prediction": "v", "process": NoiseProcess("variance_preserving", zero_terminal_snr=True), "conditioning": "none"}
    preview = PreviewFactors(((0.1, 0.2, 0.3),) * 4, (0.5, 0.5, 0.5))
    facts = {"latent_channels": 4, "native_size": (16, 24), "history": HISTORY, "preview": preview, "facts": '{"steps": 2}'}
    return TrainedDenoiser(json.dumps(config), unet.state_dict(), **{**given, **facts, **fields})


@pytest.mark.parametrize("kind", ["kl", "vq"])
def test_an_autoencoder_is_found_by_its_name(tmp_path, kind):
    recipe = keep_autoencoder(context(tmp_path), autoencoder(kind), "mine", "float32")
    folder = tmp_path / "models" / "mine"
    assert Path(recipe.path) == folder
    assert (recipe.shift, recipe.scale, recipe.downscale, recipe.latent_channels) == (0.3, 2.0, 4, 4)
    assert describe_autoencoder(folder, recipe.digest) == recipe
    assert Digests().of(folder) == recipe.digest
    assert "Trained with nodegraph" in (folder / "README.md").read_text()
    with pytest.raises(Exception, match="autoencoder alone"):
        describe_model(folder, recipe.digest)


def test_a_model_says_of_itself_what_was_trained(tmp_path):
    at = context(tmp_path)
    coder = keep_autoencoder(at, autoencoder(), "coder", "float32")
    trained = denoiser(Told(classes=4), conditioning="class", classes=("cat", "dog", "car"))
    kept = keep_model(at, trained, coder, None, "classes", "float32")
    found = kept.denoiser
    assert (found.prediction, found.process, found.conditioning) == ("v", trained.process, "class")
    assert (found.native_size, found.downscale, found.size_multiple, found.concat_channels) == ((16, 24), 4, 8, 0)
    assert found.preview == autoencoder().preview
    assert kept.autoencoder.shift == coder.shift
    assert (found, kept.autoencoder) == (describe_model(found.path, found.digest).denoiser, kept.autoencoder)
    network = load_denoiser(found, CPU)
    for name, value in network.module.state_dict().items():
        assert torch.equal(value, trained.tensors[name]), name


def test_a_card_shows_the_curves_of_both_phases_and_what_the_model_makes(tmp_path):
    at, samples = context(tmp_path), torch.rand(8, 24, 3)
    coder = keep_autoencoder(at, autoencoder(), "coder", samples=samples)
    assert "![What becomes of pictures" in (tmp_path / "models/coder/README.md").read_text()
    keep_model(at, denoiser(Told()), coder, None, "whole", samples=samples)
    folder = tmp_path / "models/whole"
    card = (folder / "README.md").read_text()
    for phase in ("autoencoder", "denoiser"):
        assert f"(curves_{phase}.png)" in card
        assert json.loads((folder / f"history_{phase}.json").read_text()) == {
            name: [list(point) for point in points] for name, points in HISTORY.columns.items()
        }
        with Image.open(folder / f"curves_{phase}.png") as curves:
            assert curves.width == 512
    with Image.open(folder / "grid.png") as grid:
        assert grid.size == (24, 8)


def test_curves_that_cannot_be_read_are_left_out(tmp_path):
    at = context(tmp_path)
    coder = keep_autoencoder(at, autoencoder(), "coder")
    (tmp_path / "models/coder/history_autoencoder.json").write_text('{"loss": "falling"}')
    keep_model(at, denoiser(Told()), coder, None, "whole")
    assert "curves_autoencoder" not in (tmp_path / "models/whole/README.md").read_text()


def test_a_prompted_model_takes_its_text_encoder_along(tmp_path):
    at = context(tmp_path)
    _, text, _ = describe_model(STARTER, "x")
    coder = keep_autoencoder(at, autoencoder(), "coder")
    kept = keep_model(at, denoiser(Told(384, 384), conditioning="prompt"), coder, text, "prompted", "int8")
    assert (tmp_path / "models/prompted/text_encoder/tokenizer.json").is_file()
    assert kept.text_encoder.path == kept.denoiser.path
    assert json.loads((tmp_path / "models/prompted/starter.json").read_text())["text_length"] == 24
    assert load_denoiser(kept.denoiser, CPU).module.config.cross_attention_dim == 384


@pytest.mark.parametrize(
    ("text", "socket"),
    [(None, "text_encoder"), ("skip", "text_encoder"), ("clip", "text_encoder")],
    ids=["none", "skip", "clip"],
)
def test_a_text_encoder_that_does_not_go_along_is_told(tmp_path, text, socket):
    at = context(tmp_path)
    coder = keep_autoencoder(at, autoencoder(), "coder")
    _, starter, _ = describe_model(STARTER, "x")
    encoder = {None: None, "skip": replace(starter, skip=1), "clip": replace(starter, family="sd1", path=str(tmp_path))}[text]
    with pytest.raises(NodeError) as caught:
        keep_model(at, denoiser(Told(384), conditioning="prompt"), coder, encoder, "prompted")
    assert caught.value.socket == socket
    assert sorted(folder.name for folder in (tmp_path / "models").iterdir()) == ["coder"]


def test_the_same_again_changes_nothing(tmp_path):
    at = context(tmp_path)
    keep_autoencoder(at, autoencoder(), "mine")
    before = (tmp_path / "models/mine/vae/config.json").stat().st_mtime_ns
    keep_autoencoder(at, autoencoder(), "mine")
    assert (tmp_path / "models/mine/vae/config.json").stat().st_mtime_ns == before


def test_another_of_the_same_name_needs_a_word(tmp_path):
    at = context(tmp_path)
    first = keep_autoencoder(at, autoencoder(), "mine")
    with pytest.raises(NodeError, match="another model mine") as caught:
        keep_autoencoder(at, autoencoder(seed=5), "mine")
    assert caught.value.socket == "name"
    assert digest_of(tmp_path / "models/mine") == first.digest
    second = keep_autoencoder(at, autoencoder(seed=5), "mine", replace=True)
    assert second.digest != first.digest
    assert [folder.name for folder in (tmp_path / "models").iterdir()] == ["mine"]


def test_what_was_not_made_here_is_never_replaced(tmp_path):
    folder = tmp_path / "models" / "theirs"
    folder.mkdir(parents=True)
    (folder / "starter.json").write_text('{"latent": {}}')
    with pytest.raises(NodeError, match="not made here"):
        keep_autoencoder(context(tmp_path), autoencoder(), "theirs", replace=True)
    assert (folder / "starter.json").read_text() == '{"latent": {}}'


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "a" * 101, "with space", "nul\0"])
def test_names_stay_in_the_folder(tmp_path, name):
    (tmp_path / "models").mkdir()
    with pytest.raises(NodeError) as caught:
        place_model(tmp_path / "models", name, True, lambda folder: None)
    assert caught.value.socket == "name"
    assert not list((tmp_path / "models").iterdir())


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path):
    at = context(tmp_path)
    first = keep_autoencoder(at, autoencoder(), "mine")

    def full(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(NodeError, match="No space left"):
        place_model(tmp_path / "models", "mine", True, full)
    assert digest_of(tmp_path / "models/mine") == first.digest
    assert [folder.name for folder in (tmp_path / "models").iterdir()] == ["mine"]


@pytest.mark.parametrize(("weights", "least", "most"), [("float32", 0, 0), ("float16", 1e-5, 1e-3), ("int8", 1e-3, 2e-2)])
def test_the_error_of_rounding_is_the_error_that_is_read_back(tmp_path, weights, least, most):
    from safetensors.torch import load_file

    tensors = {"a.weight": torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0)), "a.bias": torch.zeros(16)}
    error = write_network(tmp_path / "net", {}, tensors, weights)
    assert least <= error <= most
    stored = load_file(next((tmp_path / "net").glob("*.safetensors")))
    read = stored["a.weight"].float()
    if weights == "int8":
        read = read * stored["a.weight.scale"].view(-1, 1, 1, 1)
    assert ((read - tensors["a.weight"]).norm() / tensors["a.weight"].norm()).item() == pytest.approx(error, rel=1e-4, abs=1e-9)
