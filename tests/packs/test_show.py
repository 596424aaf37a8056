"""Nodes that show: what they give to the view that is declared, called as functions and in a run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

from nodegraph import Graph, NodeError, Session, curve_at
from nodegraph.artifacts import embed, extract
from nodegraph_nodes import core, image
from nodegraph_nodes.image.curve import along

RANDOM = torch.from_numpy(np.random.default_rng(0).random((5, 7, 3), np.float32))


def opened(data: bytes) -> Pillow.Image:
    return Pillow.open(io.BytesIO(data))


def frames(picture: Pillow.Image) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """Each frame's milliseconds and its pixels."""
    found = []
    for i in range(getattr(picture, "n_frames", 1)):
        picture.seek(i)
        pixels = np.asarray(picture.convert("RGB"))  # loads the frame, which only then knows its time
        found.append((picture.info.get("duration", 0), pixels))
    return found


# ---- text, tables, plots ----


def test_lists_side_by_side_are_a_table() -> None:
    table = core.make_table(["a", "b"], [1, 2], names=["prompt", "seed"])
    assert (table.columns, table.rows) == (["prompt", "seed"], [["a", 1], ["b", 2]])
    assert core.make_table([1], [None]).columns == ["Column 1", "Column 2"]
    assert core.make_table([], []).rows == []


@pytest.mark.parametrize(
    ("columns", "names", "socket"),
    [
        ([], None, "columns"),
        ([[1, 2], [1]], None, "columns"),
        ([[1], [2]], ["a"], "names"),
        ([[1], [[]]], None, "columns"),
        ([[{"a": 1}]], None, "columns"),
    ],
)
def test_lists_that_make_no_table_are_refused_at_their_socket(columns: Any, names: Any, socket: str) -> None:
    with pytest.raises(NodeError) as caught:
        core.make_table(*columns, names=names)
    assert caught.value.socket == socket


def test_numbers_are_drawn_over_their_places() -> None:
    plot = core.plot_numbers([3.0, 1.0], title="t", name="loss", x_name="step")
    assert (plot.title, plot.x.label, plot.y.label) == ("t", "step", "loss")
    assert [(s.name, s.x, s.y, s.kind) for s in plot.series] == [("loss", [0.0, 1.0], [3.0, 1.0], "line")]
    assert core.plot_numbers([3.0, 1.0], x=[5.0, 9.0]).series[0].x == [5.0, 9.0]


@pytest.mark.parametrize(
    ("arguments", "socket"),
    [({"numbers": [1.0], "x": [1.0, 2.0]}, "x"), ({"numbers": [1.0, 0.0], "y_scale": "log"}, "numbers")],
)
def test_numbers_that_cannot_be_drawn_are_refused_at_their_socket(arguments: Any, socket: str) -> None:
    with pytest.raises(NodeError) as caught:
        core.plot_numbers(**arguments)
    assert caught.value.socket == socket


# ---- pictures ----


def test_a_preview_keeps_every_pixel_and_carries_no_workflow() -> None:
    artifact = image.show_image(RANDOM)
    assert np.array_equal(np.asarray(opened(artifact.data)), (RANDOM * 255).round().byte().numpy())
    assert (artifact.embed, artifact.name.split("/")[0]) == ("none", "previews")


def test_compared_pictures_keep_their_order() -> None:
    compared = image.compare_images(torch.zeros(2, 2, 3), torch.ones(2, 2, 3))
    assert [int(np.asarray(opened(one.data)).max()) for one in compared] == [0, 255]


def test_an_animation_shows_each_picture_for_its_time() -> None:
    images = [torch.full((6, 8, 3), i / 4) for i in range(5)]
    artifact = image.animate(images, fps=7.0, quality=100)
    picture = opened(artifact.data)
    shown = frames(picture)
    assert (artifact.media_type, picture.format, picture.size, picture.info["loop"]) == ("image/webp", "WEBP", (8, 6), 0)
    assert [int(pixels[0, 0, 0]) for _, pixels in shown] == [0, 64, 128, 191, 255]
    assert sum(ms for ms, _ in shown) == round(1000 * 5 / 7)
    assert max(ms for ms, _ in shown) - min(ms for ms, _ in shown) <= 1


def test_an_animation_that_is_not_to_loop_says_so_and_one_picture_is_enough() -> None:
    assert opened(image.animate([torch.zeros(2, 2, 3), torch.ones(2, 2, 4)], loop=False).data).info["loop"] == 1
    assert opened(image.animate([RANDOM]).data).size == (7, 5)


def test_an_animation_can_carry_the_workflow() -> None:
    artifact = image.animate([RANDOM, 1 - RANDOM])
    data = embed(artifact.data, artifact.media_type, {"nodegraph": "{}"})
    assert len(frames(opened(data))) == 2
    assert extract(data) == {"nodegraph": "{}"}


@pytest.mark.parametrize("images", [[], [torch.zeros(2, 2, 3), torch.zeros(2, 3, 3)], [torch.zeros(1, 1, 3)] * 1001])
def test_pictures_that_make_no_animation_are_refused(images: list[Tensor]) -> None:
    with pytest.raises(NodeError) as caught:
        image.animate(images)
    assert caught.value.socket == "images"


# ---- curves ----

BEND = [(0.1, 0.0), (0.3, 0.6), (0.300001, 0.6), (0.9, 0.8)]


def test_a_curve_over_a_tensor_is_the_curve_over_each_number() -> None:
    values = torch.linspace(0, 1, 997)
    assert along(BEND, values).tolist() == pytest.approx([curve_at(BEND, x) for x in values.tolist()], abs=1e-6)


def test_a_straight_curve_changes_nothing() -> None:
    for channel in ("rgb", "red", "luma"):
        assert torch.allclose(image.adjust_curve(RANDOM, channel=channel), RANDOM, atol=1e-6)


@pytest.mark.parametrize(("channel", "changed"), [("rgb", [0, 1, 2]), ("red", [0]), ("green", [1]), ("blue", [2])])
def test_a_curve_bends_the_channels_it_is_for_and_the_input_stays(channel: Any, changed: list[int]) -> None:
    given = torch.cat([RANDOM, torch.full((5, 7, 1), 0.5)], 2)
    before = given.clone()
    bent = image.adjust_curve(given, BEND, channel)
    expected = given.clone()
    for i in changed:
        expected[..., i] = along(BEND, given[..., i])
    assert torch.equal(bent, expected)
    assert torch.equal(given, before)


def test_luma_keeps_the_differences_between_channels() -> None:
    bent = image.adjust_curve(RANDOM * 0.5 + 0.25, [(0.0, 0.1), (1.0, 0.9)], "luma")
    differences = (bent[..., 0] - bent[..., 1], (RANDOM[..., 0] - RANDOM[..., 1]) * 0.5)
    assert torch.allclose(*differences, atol=1e-6)
    luma = bent @ torch.tensor([0.2126, 0.7152, 0.0722])
    was = (RANDOM * 0.5 + 0.25) @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert torch.allclose(luma, 0.1 + 0.8 * was, atol=1e-5)


# ---- in a run ----


@pytest.fixture(scope="module")
def session(data_folder: Path) -> Iterator[Session]:
    with Session(data_folder) as opened:
        yield opened


def test_a_run_gives_tables_plots_and_text_as_plain_json(session: Session, tmp_path: Path) -> None:
    graph = Graph("Shown", session)
    seeds = graph.add(core.seed_list, "seeds", count=2)
    table = graph.add(
        core.make_table, "table", columns=[seeds, graph.add(core.split_lines, value="a\nb")], names=["seed", "text"]
    )
    graph.add(core.show_table, "shown_table", table=table)
    graph.add(core.plot_numbers, "plot", numbers=seeds)
    graph.add(core.show_text, "text", text="a\nb")
    files = graph.workflow().run(out=tmp_path / "out").files
    assert json.loads(json.dumps(files)) == {
        "shown_table": [{"value": {"columns": ["seed", "text"], "rows": [[0, "a"], [1, "b"]]}}],
        "plot": [
            {
                "value": {
                    "title": "",
                    "x": {"label": "", "scale": "linear"},
                    "y": {"label": "", "scale": "linear"},
                    "series": [{"name": "", "x": [0.0, 1.0], "y": [0.0, 1.0], "kind": "line"}],
                }
            }
        ],
        "text": [{"value": "a\nb"}],
    }


def drawn(count: int, session: Session) -> Graph:
    """A graph that loads one picture as many times, in a list."""
    graph = Graph("Drawn", session)
    loaded = [graph.add(image.load_image, f"load_{i}", path="small.png").image for i in range(count)]
    graph.add(core.make_list, "list", items=loaded)
    return graph


@pytest.fixture
def picture(data_folder: Path) -> Iterator[Path]:
    """A picture among the inputs."""
    path = data_folder / "inputs" / "small.png"
    path.parent.mkdir(exist_ok=True)
    Pillow.fromarray((RANDOM * 255).byte().numpy()).save(path)
    yield path
    path.unlink()


def test_shown_pictures_are_placed_apart_from_saved_ones(session: Session, picture: Path, tmp_path: Path) -> None:
    graph = drawn(2, session)
    one, many = graph.link("load_0.image"), graph.link("list.items")
    graph.add(image.show_image, "one", image=one)
    graph.add(image.show_images, "many", images=many)
    graph.add(image.compare_images, "both", before=one, after=one)
    graph.add(image.animate, "moving", images=many, name="moving")
    files = graph.workflow().run(out=tmp_path).files
    assert {name: len(rows) for name, rows in files.items()} == {
        "one": 1,
        "many": 2,
        "both.before": 1,
        "both.after": 1,
        "moving": 1,
    }
    places = {Path(row["path"]).relative_to(tmp_path).parent.as_posix() for name in files for row in files[name]}
    assert places == {"previews", "."}
    assert Path(files["moving"][0]["path"]).name == "moving.webp"


def test_a_node_that_shows_one_shows_each_item_of_a_list(session: Session, tmp_path: Path) -> None:
    graph = Graph("Each", session)
    graph.add(core.show_text, "each", text=graph.add(core.split_lines, "lines", value="a\nb"))
    assert graph.workflow().run(out=tmp_path).files == {"each": [{"value": "a"}, {"value": "b"}]}
    assert graph.workflow().run(out=tmp_path).files == {"each": [{"value": ["a", "b"]}]}  # whole, from the cache
