"""Nodes are plain functions, and building blocks of graphs when they are called with links."""

from __future__ import annotations

import asyncio
import enum
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from nodegraph import Context, GraphBuilder, Lazy, Link, Secret, composite, node, socket


class Mode(enum.Enum):
    FAST = "fast"


class Spot(BaseModel):
    x: int = 0


@socket()
class Picture:
    """A picture."""


class Parts(NamedTuple):
    left: Picture
    right: Picture


@node()
def paint(size: int = 8, mode: Mode = Mode.FAST, spot: Spot | None = None, limit: int | None = 5) -> Picture:
    """Make a picture."""
    return Picture()


@node()
def split(picture: Picture) -> Parts:
    """Two of it."""
    return Parts(picture, picture)


@node()
def sheet(*pictures: Picture) -> Picture:
    """All of them."""
    return pictures[0]


@node()
def stack(pictures: list[Picture]) -> Picture:
    """A list."""
    return pictures[0]


@node()
def blur(context: Context, picture: Picture, radius: float = 1.0) -> Picture:
    """With a context in front."""
    return picture


@composite()
def twice(graph: GraphBuilder, picture: Picture) -> Picture:
    """Two nodes in one."""
    return graph.add(blur, picture=graph.add(blur, picture=picture))


@node()
async def choose(yes: Lazy[int]) -> int:
    """Lazy."""
    return await yes


class Alone(NamedTuple):
    picture: Picture


@node()
def only(picture: Picture) -> Alone:
    """A tuple of one."""
    return Alone(picture)


@composite(iterates="map")
def repeat(body: str, items: list[Picture], limit: int = 3) -> None:
    """A loop."""


@pytest.fixture
def graph() -> GraphBuilder:
    return GraphBuilder()


def test_a_node_is_called_as_the_function_it_is() -> None:
    picture = paint(size=3)
    assert isinstance(picture, Picture)
    assert split(picture) == (picture, picture)
    assert blur(Context(), picture, radius=2.0) is picture


def test_a_lazy_node_is_called_with_a_known_value() -> None:
    assert asyncio.run(choose(Lazy.of(3))) == 3


def test_a_node_keeps_its_functions_name_and_words() -> None:
    assert (paint.__name__, paint.__doc__, paint.__module__) == ("paint", "Make a picture.", __name__)


def test_calling_with_a_link_adds_to_its_graph(graph: GraphBuilder) -> None:
    link = blur(graph.add(paint), radius=2.0)
    assert isinstance(link, Link)
    assert (graph.nodes["blur"].values, graph.nodes["blur"].links["picture"].node) == ({"radius": 2.0}, "paint")


def test_several_outputs_come_as_links_in_the_named_tuple(graph: GraphBuilder) -> None:
    parts = split(graph.add(paint))
    assert (parts.left.output, parts.right.output) == ("left", "right")


def test_variadic_inputs_take_links_by_position(graph: GraphBuilder) -> None:
    a, b = graph.add(paint), graph.add(paint)
    sheet(a, b)
    assert [link.node for link in graph.nodes["sheet"].links["pictures"]] == ["paint", "paint_2"]


def test_a_composite_called_with_links_is_one_node(graph: GraphBuilder) -> None:
    twice(graph.add(paint))
    assert list(graph.nodes) == ["paint", "twice"]


def test_a_composite_called_with_a_builder_puts_its_nodes_there(graph: GraphBuilder) -> None:
    twice(graph, graph.add(paint))
    assert list(graph.nodes) == ["paint", "blur", "blur_2"]


def test_a_node_can_be_asked_for_links_alone(graph: GraphBuilder) -> None:
    assert blur.linked(graph.add(paint), radius=2.0).node == "blur"
    with pytest.raises(TypeError, match="no argument is a link"):
        blur.linked(Picture())


def test_a_named_tuple_of_one_stands_for_its_link(graph: GraphBuilder) -> None:
    alone = only(graph.add(paint))
    sheet(blur(alone, radius=2.0), alone)
    assert alone.picture.output == "picture"
    assert graph.nodes["blur"].links["picture"] is alone.picture
    assert [link.node for link in graph.nodes["sheet"].links["pictures"]] == ["blur", "only"]


def test_what_a_loop_captures_is_named_in_the_call(graph: GraphBuilder) -> None:
    found = repeat("body", graph.add(paint), other=3, picture=graph.add(paint))
    assert graph.nodes["repeat"].values == {"body": "body", "other": 3}
    assert {name: link.node for name, link in graph.nodes["repeat"].links.items()} == {"items": "paint", "picture": "paint_2"}
    assert (found.pictures.node, found.node.output) == ("repeat", "node")


def test_values_are_kept_as_json(graph: GraphBuilder) -> None:
    graph.add(paint, mode=Mode.FAST, spot=Spot(x=1))
    assert graph.nodes["paint"].values == {"mode": "fast", "spot": {"x": 1}}


def test_nothing_is_a_value_where_it_may_be(graph: GraphBuilder) -> None:
    graph.add(paint, limit=None, size=None)
    assert graph.nodes["paint"].values == {"limit": None}


def test_taken_ids_are_numbered(graph: GraphBuilder) -> None:
    assert [graph.add(paint).node, graph.add(paint).node, graph.add(paint, "paint").node] == ["paint", "paint_2", "paint_3"]


@pytest.mark.parametrize(
    ("build", "error", "says"),
    [
        (lambda g: g.add(paint, sise=3), TypeError, "paint has no input 'sise'; it has size, mode, spot, limit"),
        (lambda g: g.add(paint, "1st"), ValueError, "'1st' cannot be a node id"),
        (lambda g: g.add(paint, "a b"), ValueError, "'a b' cannot be a node id"),
        (lambda g: blur(GraphBuilder().add(paint), g.add(paint)), TypeError, "another graph"),
        (lambda g: g.add(blur, picture=GraphBuilder().add(paint)), TypeError, "'picture' comes from another graph"),
        (lambda g: g.add(stack, pictures=[g.add(paint), g.add(paint)]), TypeError, "takes one link.*make_list"),
        (lambda g: g.add(sheet, pictures=[1, 2]), TypeError, "'pictures' takes links only"),
        (lambda g: blur(g.add(paint), picture=g.add(paint)), TypeError, "multiple values"),
        (lambda g: blur(g.add(paint), zoom=1), TypeError, "zoom"),
    ],
)
def test_what_cannot_be_built_is_refused_at_once(graph: GraphBuilder, build: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        build(graph)


# ---- secrets and contexts ----


def test_a_secret_shows_its_name_and_never_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEGRAPH_SECRET_TOKEN", "hunter2")
    secret = Secret("token")
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in f"{secret!r} {secret} {secret!s} {[secret]}"


def test_a_secret_that_is_not_set_says_how_to_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODEGRAPH_SECRET_TOKEN", raising=False)
    with pytest.raises(LookupError, match="NODEGRAPH_SECRET_TOKEN"):
        Secret("token").reveal()


def test_a_bare_context_works_without_an_engine(tmp_path: Path) -> None:
    context = Context(scratch_root=tmp_path / "scratch")
    context.progress(1, 2)
    context.preview(lambda: pytest.fail("nobody is looking"))
    context.check_cancelled()
    assert context.scratch.is_dir()
    with pytest.raises(LookupError, match="loads no models"):
        context.resident(3)
