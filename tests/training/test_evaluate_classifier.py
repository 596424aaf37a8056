"""A classifier trained on a few drawings: what it knows, how it judges, and where it is kept."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from nodegraph import Cancelled, Context, Graph, ModelFile, NodeError, Session
from nodegraph_nodes.core import make_list
from nodegraph_nodes.image import load_image
from nodegraph_nodes.training import (
    augment_backgrounds,
    caption_retrieval,
    feature_network,
    frechet_distance,
    keep_classifier,
    load_classifier,
    load_feature_network,
    load_pictures,
    measure_reconstruction,
    picture_features,
    prompt_retrieval,
    resize_pictures,
    seed_variety,
    train_classifier,
)
from nodegraph_nodes.training.data import PLAIN, Pick, Reader
from nodegraph_nodes.training.tasks.wear import worn
from nodegraph_nodes.training.train_classifier import ClassifierTraining
from nodegraph_nodes.types import Autoencoder, Dataset, TextEncoder, TrainingPlan

CPU = torch.device("cpu")
SIDE = 32
SHAPES = ("disc", "square", "cross", "red ring", "triangle", "bar")
PLAN = TrainingPlan(steps=100, batch=32, learning_rate=3e-3, warmup=5, average=0.9, save_every=20, show_every=30)
TEXTS = TextEncoder("words", "", "")


def drawing(name: str, colour: str) -> Image.Image:
    picture = Image.new("RGBA", (48, 48))
    pen = ImageDraw.Draw(picture)
    match name:
        case "disc":
            pen.ellipse((8, 8, 40, 40), colour)
        case "square":
            pen.rectangle((10, 10, 38, 38), colour)
        case "cross":
            pen.line((8, 8, 40, 40), colour, 7)
            pen.line((40, 8, 8, 40), colour, 7)
        case "red ring":
            pen.ellipse((8, 8, 40, 40), outline="red", width=5)
        case "triangle":
            pen.polygon(((24, 6), (42, 40), (6, 40)), colour)
        case _:
            pen.rectangle((20, 4, 28, 44), colour)
    return picture


def archive(folder: Path) -> tuple[Path, Path]:
    """Each shape in two colours."""
    rows = []
    with zipfile.ZipFile(folder / "shapes.zip", "w") as file:
        for colour in ("blue", "green"):
            for name in SHAPES:
                buffer = io.BytesIO()
                drawing(name, colour).save(buffer, "png")
                file.writestr(f"{colour}-{name}.png", buffer.getvalue())
                rows.append({"file": f"{colour}-{name}.png", "subject": name})
    (folder / "shapes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "shapes.zip", folder / "shapes.jsonl"


class Words:
    """A text encoder that knows each word: a text is the sum of its words' random vectors."""

    family = "words"

    def encode(self, texts: Sequence[str]) -> list[Any]:
        def vector(word: str) -> Tensor:
            word = {"circle": "disc"}.get(word, word)
            return torch.randn(64, generator=torch.Generator().manual_seed(sum(word.encode())))

        return [SimpleNamespace(pooled=torch.stack([vector(word) for word in text.split() or ["-"]]).sum(0)) for text in texts]


class Lossy:
    """An autoencoder that keeps pictures, but for what it adds."""

    added = 0.0

    def encode(self, pixels: Tensor) -> Tensor:
        return pixels.movedim(-1, 1)

    def decode(self, samples: Tensor) -> Tensor:
        return samples.movedim(1, -1) + self.added


def loaded(recipe: Any) -> Any:
    return {TextEncoder: lambda r: Words(), Autoencoder: lambda r: Lossy()}.get(
        type(recipe), lambda r: feature_network(r, CPU)
    )(recipe)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    found = load_pictures(Context(), *archive(tmp_path_factory.mktemp("shapes")))
    return augment_backgrounds(resize_pictures(found, SIDE, SIDE), 0.5)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    root = tmp_path_factory.mktemp("run")
    return Context(load=loaded, scratch_root=root / "scratch", models_root=root / "models")


@pytest.fixture(scope="module")
def trained(data: Dataset, context: Context) -> ClassifierTraining:
    return train_classifier(context, data, load_feature_network(size=64), PLAN, views=12, width=32)


def plain(data: Dataset) -> tuple[list[Tensor], list[str]]:
    """Pictures as they are, and what they show."""
    with Reader(data) as reader:
        seen = [reader.read(Pick(i, PLAIN, 0)).pixels.float() / 255 for i in range(len(data.entries))]
    return seen, [entry.subject for entry in data.entries]


def test_it_names_views_that_it_was_not_trained_on(trained: ClassifierTraining) -> None:
    assert trained.top_1 >= 0.7
    assert trained.top_5 >= 0.9
    facts = json.loads(trained.classifier.facts)
    assert (facts["pictures"], facts["classes"], facts["views"]) == (12, 6, 12)
    assert trained.classifier.classes == tuple(sorted(SHAPES))
    losses = [value for _, value in trained.classifier.history.columns["loss"]]
    assert losses[-1] < losses[0] / 2


def test_a_view_is_the_same_for_the_same_seed_and_others_differ(data: Dataset) -> None:
    picture = plain(data)[0][0]
    one, again, other = (worn(picture, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert (one - other).abs().mean() > 0.01
    assert one.shape == picture.shape
    assert 0 <= one.min() <= one.max() <= 1


def test_a_training_goes_on_from_the_views_it_has(data: Dataset, tmp_path: Path, trained: ClassifierTraining) -> None:
    asked: list[float] = []
    stopped = Context(load=loaded, scratch_root=tmp_path, is_cancelled=lambda: len(asked) >= 2)
    stopped.on_progress = lambda done, total: asked.append(done)
    with pytest.raises(Cancelled):
        train_classifier(stopped, data, load_feature_network(size=64), PLAN, views=12, width=32)
    assert (tmp_path / "view-0.safetensors").exists()
    done = (tmp_path / "view-0.safetensors").stat().st_mtime_ns
    again = train_classifier(
        Context(load=loaded, scratch_root=tmp_path), data, load_feature_network(size=64), PLAN, views=12, width=32
    )
    assert (tmp_path / "view-0.safetensors").stat().st_mtime_ns == done
    for name, tensor in trained.classifier.tensors.items():
        assert torch.equal(again.classifier.tensors[name], tensor)


def test_prompts_are_right_where_the_picture_shows_what_they_name(
    data: Dataset, context: Context, trained: ClassifierTraining
) -> None:
    seen, subjects = plain(data)
    right = prompt_retrieval(context, trained.classifier, seen, [f"a {name} on a pink background" for name in subjects])
    assert right.top_1 >= 0.6
    wrong = prompt_retrieval(context, trained.classifier, seen, [f"a {name}" for name in subjects[1:] + subjects[:1]])
    assert wrong.top_1 <= 0.25
    assert {row[2] for row in wrong.misses.rows} <= set(SHAPES)
    assert wrong.sheet.shape[2] == 3


def test_pictures_that_are_no_numbers_are_refused(data: Dataset, context: Context, trained: ClassifierTraining) -> None:
    seen, subjects = plain(data)
    broken = [*seen[:2], torch.full_like(seen[0], torch.nan)]
    for judge in (prompt_retrieval, seed_variety):
        with pytest.raises(NodeError, match="1 of 3 pictures") as caught:
            judge(context, trained.classifier, broken, [subjects[0]] * 3)
        assert caught.value.socket == "images"


def test_of_several_named_classes_all_have_to_be_seen_or_any(
    data: Dataset, context: Context, trained: ClassifierTraining
) -> None:
    seen, subjects = plain(data)
    both = [f"half {name} half {'bar' if name != 'bar' else 'disc'}" for name in subjects]
    strict, mild = (prompt_retrieval(context, trained.classifier, seen, both, several=how) for how in ("all", "any"))
    assert mild.top_1 >= 0.6
    assert strict.top_1 < mild.top_1


def test_prompts_that_name_no_class_are_refused_or_found_by_meaning(
    data: Dataset, context: Context, trained: ClassifierTraining
) -> None:
    seen, _ = plain(data)
    with pytest.raises(NodeError, match="1 of 1 captions name no class") as caught:
        prompt_retrieval(context, trained.classifier, seen[:1], ["circle"])
    assert caught.value.socket == "captions"
    assert prompt_retrieval(context, trained.classifier, seen[:1], ["circle"], encoder=TEXTS).top_1 == 1
    assert prompt_retrieval(context, trained.classifier, seen[1:2], ["circle"], encoder=TEXTS).top_1 == 0


def test_captions_are_found_among_all_by_what_the_pictures_show(
    data: Dataset, context: Context, trained: ClassifierTraining
) -> None:
    seen, subjects = plain(data)
    said = [name.replace("disc", "circle") for name in subjects]
    assert caption_retrieval(context, trained.classifier, TEXTS, seen, said).top_1 >= 0.6
    assert caption_retrieval(context, trained.classifier, TEXTS, seen, said[1:] + said[:1]).top_1 <= 0.25
    with pytest.raises(NodeError, match="one caption only"):
        caption_retrieval(context, trained.classifier, TEXTS, seen, ["disc"] * len(seen))


def test_a_classifier_comes_back_from_its_file_and_wants_its_network(
    data: Dataset, context: Context, trained: ClassifierTraining
) -> None:
    name = keep_classifier(context, trained.classifier, "shapes")
    file = ModelFile(name, context.models / name, "")
    again = load_classifier(file)
    assert (again.classes, again.trunk, again.width) == (trained.classifier.classes, trained.classifier.trunk, 32)
    seen, _ = plain(data)
    one, other = (picture_features(context, each, seen) for each in (trained.classifier, again))
    assert torch.equal(one.vectors, other.vectors)
    assert one.vectors.shape == (12, 32)
    assert one.network == other.network
    assert one.network.kind == "classifier"
    assert keep_classifier(context, trained.classifier, "shapes") == name  # the same again is no trouble
    with pytest.raises(NodeError, match="it is another"):
        keep_classifier(context, replace(trained.classifier, facts='{"steps": 0}'), "shapes")
    with pytest.raises(NodeError, match="another network in front"):
        load_classifier(file, load_feature_network(size=96))
    with pytest.raises(NodeError, match="no name for a file"):
        keep_classifier(context, trained.classifier, "../shapes")


def test_pictures_of_one_class_are_no_task(data: Dataset, context: Context) -> None:
    alike = Dataset(data.sources, data.entries[:1], buckets=data.buckets)
    with pytest.raises(NodeError, match="two classes"):
        train_classifier(context, alike, load_feature_network(size=64), PLAN)


def test_reconstructions_are_measured_against_their_pictures(data: Dataset, context: Context) -> None:
    recipe = Autoencoder("lossy", "", "", 3, 1, 0.0, 1.0)
    network = load_feature_network(size=64)
    exact = measure_reconstruction(context, recipe, data, network=network, shown=3)
    assert (exact.psnr, exact.ssim, exact.perceptual) == pytest.approx((100, 1, 0), abs=1e-6)
    assert exact.rfid == pytest.approx(0, abs=1e-3)
    assert exact.grid.shape == (2 * SIDE, 3 * SIDE, 3)
    Lossy.added = -0.1
    try:
        found = measure_reconstruction(context, recipe, data, count=5, network=network)
    finally:
        Lossy.added = 0.0
    with Reader(data) as reader:
        seen = [reader.read(Pick(i, PLAIN, 0)).pixels.float() / 255 for i in range(12)]
    errors = [((p - 0.1).clamp(0, 1) - p).square().mean().item() for p in seen]
    decibels = sorted(-10 * np.log10(errors))
    assert all(any(abs(row[1] - each) < 0.01 for each in decibels) for row in found.table.rows)
    assert len(found.table.rows) == 5
    assert found.rfid is not None
    assert found.rfid > 10 * (exact.rfid or 0)
    with pytest.raises(NodeError, match="does not fit"):
        measure_reconstruction(context, Autoencoder("lossy", "", "", 3, 64, 0.0, 1.0), data)


def test_the_nodes_run_in_a_graph_on_a_data_set_and_on_pictures(tmp_path: Path) -> None:
    pictures, captions = archive(tmp_path)
    Image.new("RGB", (32, 32), "gray").save(tmp_path / "grey.png")
    with Session(tmp_path / "data", files=[tmp_path]) as session:
        graph = Graph("Distance", session)
        data = graph.add(load_pictures, "data", pictures=pictures.name, captions=captions.name)
        network = graph.add(load_feature_network, "network", size=64)
        some = graph.add(picture_features, "some", network=network, pictures=data, count=8)
        grey = graph.add(load_image, "grey", path="grey.png")
        images = graph.add(make_list, "images", items=[grey.image, grey.image, grey.image])
        others = graph.add(picture_features, "others", network=network, pictures=images)
        graph.add(frechet_distance, "distance", reference=some, features=others)
        graph.output("distance", "distance.distance")
        assert graph.workflow().run()["distance"] > 0
