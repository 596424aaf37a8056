"""Values are shared and must not change: who writes into one is found, and what went wrong is told with what was given."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from engine.conftest import PretendedDevice
from engine.graphs import states, values
from nodegraph import Buffer, Codec, Inputs, NodeError, Pack, Secret, node, socket
from nodegraph.engine import Engine, Event, Library, NodeFailed, RunOptions, RunResult
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph_nodes.types import Image, Latent, Mask

ENCODED: Counter[str] = Counter()


def _encode(page: Page) -> tuple[Any, dict[str, Buffer]]:
    ENCODED["pages"] += 1
    return {"title": page.title}, {"text": Buffer("U8", (len(page.text),), bytes(page.text))}


@socket(codec=Codec(_encode, lambda data, buffers: Page(data["title"], bytearray(buffers["text"].data))))
class Page:
    """A value that can be written into, and does not know when it was: it has only a codec."""

    def __init__(self, title: str, text: bytearray) -> None:
        self.title, self.text = title, text


def pages() -> Pack:
    @node(output_name="page")
    def page(title: str) -> Page:
        return Page(title, bytearray(b"some words"))

    @node()
    def read(page: Page) -> str:
        return f"{page.title}: {page.text.decode()}"

    @node()
    def scribble(page: Page, other: Page) -> str:
        other.text[0] = 0x5F
        return "done"

    @node()
    def scribble_in_one(pages: list[Page]) -> str:
        pages[-1].title = "changed"
        return "done"

    @node()
    async def scribble_later(page: Page) -> str:
        page.text.append(0)
        return "done"

    @node(lane="gpu")
    def scribble_there(page: Page, also: bool = True) -> str:
        if also:
            page.text.clear()
        return page.title

    @scribble_there.batched(key=lambda inputs: 1)
    def scribble_in_many(calls: Any) -> list[str]:
        return [scribble_there.function(call.page, call.also) for call in calls]

    return Pack.of("p", list(locals().values()))


def at(kind: str, **inputs: Any) -> dict[str, Any]:
    links = {name: value for name, value in inputs.items() if isinstance(value, str) and "." in value}
    return {"type": f"p/{kind}", "inputs": {name: value for name, value in inputs.items() if name not in links}, "links": links}


async def run(engine: Engine, nodes: dict[str, Any], wanted: list[str] | None = None, **options: Any) -> RunResult:
    plan = compile_document(document_from({"nodegraph": 1, "nodes": nodes}), engine.library.catalog, wanted)
    return await engine.run(plan, RunOptions(**options))


A, B = at("page", title="a"), at("page", title="b")
GUILTY: dict[str, tuple[dict[str, Any], str]] = {
    "a node": ({"a": A, "b": B, "w": at("scribble", page="a.page", other="b.page")}, "other"),
    "an item of a list": ({"a": A, "w": at("scribble_in_one", pages="a.page")}, "pages"),
    "an async node": ({"a": A, "w": at("scribble_later", page="a.page")}, "page"),
    "a node on a device": ({"a": A, "w": at("scribble_there", page="a.page")}, "page"),
}


@pytest.mark.parametrize("who", GUILTY)
async def test_watched_a_node_that_writes_into_an_input_fails_by_name(who: str) -> None:
    nodes, name = GUILTY[who]
    async with Engine(Library.of([pages()]), device=PretendedDevice, check_inputs=True) as engine:
        result = await run(engine, nodes, ["w"])
        (problem,) = result.problems
        assert problem.node == "w"
        assert f"wrote into its input {name!r}" in problem.message
        again = await run(engine, {"a": A, "b": B, "r": at("read", page="a.page"), "s": at("read", page="b.page")}, ["r", "s"])
        assert values(again) == {"r.value": "a: some words", "s.value": "b: some words"}, "what was spoilt is made again"


async def test_watched_only_the_guilty_call_of_a_batch_fails() -> None:
    nodes = {name: at("page", title=name) for name in "abcd"}
    nodes |= {f"w{name}": at("scribble_there", page=f"{name}.page", also=name == "c") for name in "abcd"}
    async with Engine(Library.of([pages()]), device=PretendedDevice, check_inputs=True) as engine:
        for _ in range(3):
            result = await run(engine, nodes, ["wa", "wb", "wc", "wd"], exact=False)
            assert [problem.node for problem in result.problems] == ["wc"]
            engine.memory.clear()


@pytest.mark.parametrize("who", GUILTY)
async def test_unwatched_nothing_is_digested_and_nobody_is_accused(who: str) -> None:
    nodes, _ = GUILTY[who]
    ENCODED.clear()
    async with Engine(Library.of([pages()]), device=PretendedDevice) as engine:
        result = await run(engine, nodes, ["w"])
    assert result.status == "succeeded"
    assert not ENCODED


async def test_watched_or_not_an_honest_workflow_gives_the_same_under_the_same_keys() -> None:
    nodes = {"a": A, "b": B, "r": at("read", page="a.page"), "s": at("read", page="b.page")}
    keys = []
    for watched in (True, False):
        async with Engine(Library.of([pages()]), device=PretendedDevice, check_inputs=watched) as engine:
            result = await run(engine, nodes, ["r", "s"])
            assert values(result) == {"r.value": "a: some words", "s.value": "b: some words"}
            assert set(states(result).values()) == {"computed"}
            keys.append(set(engine.memory._entries))
    assert keys[0] == keys[1]


# ---- what errors say ----


def faulty() -> Pack:
    @node(output_name="image")
    def image(height: int, width: int) -> Image:
        return torch.linspace(0, 1, height * width * 3).reshape(height, width, 3)

    @node(output_name="mask")
    def mask() -> Mask:
        return torch.full((4, 5), torch.nan)

    @node(output_name="latent")
    def latent() -> Latent:
        return Latent(torch.zeros(4, 8, 6) - 2.0, "starter", torch.ones(8, 6))

    @node()
    def crash(image: Image, mask: Mask, latent: Latent, strength: float, name: str = "x", extra: Mask | None = None) -> int:
        raise RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")

    @node()
    def crash_on_many(images: list[Image]) -> int:
        raise IndexError("list index out of range")

    @node(lane="gpu")
    def crash_there(image: Image, gain: float = 2.0) -> int:
        raise RuntimeError("no kernel")

    @crash_there.batched(key=lambda inputs: 1)
    def crash_in_many(calls: list[Inputs]) -> list[Any]:
        return [RuntimeError("no kernel") for _ in calls]

    @node()
    async def crash_later(image: Image) -> int:
        raise OSError("connection lost")

    @node()
    def refuse(image: Image) -> int:
        raise NodeError("The picture is too small.", socket="image", expected="64 x 64", got="2 x 3")

    @node()
    def fetch(token: Secret, url: str) -> str:
        raise ConnectionError("it did not answer")

    @node()
    def tell(token: Secret, url: str) -> str:
        raise ConnectionError(f"GET {url}?key={token.reveal()} gave 403")

    @node()
    def refuse_telling(token: Secret) -> str:
        raise NodeError(f"The key {token.reveal()} is not accepted.", hint=f"Not {token.reveal()}.", got=token.reveal())

    @node()
    def tell_with_cause(token: Secret) -> str:
        try:
            raise KeyError(token.reveal())
        except KeyError as error:
            raise ConnectionError("no answer") from error

    return Pack.of("p", list(locals().values()))


async def problem_of(nodes: dict[str, Any], **options: Any) -> tuple[Any, str]:
    events: list[Event] = []
    async with Engine(Library.of([faulty()]), device=PretendedDevice) as engine:
        result = await run(engine, nodes, ["c"], listener=events.append, **options)
        told = "\n".join(map(repr, [*events, *engine.history.of(engine_document(nodes)).runs]))
    (problem,) = result.problems
    (failed,) = [event for event in events if isinstance(event, NodeFailed)]
    return problem, f"{told}\n{failed.trace}\n{result}"


def engine_document(nodes: dict[str, Any]) -> Any:
    return document_from({"nodegraph": 1, "nodes": nodes})


PICTURE = at("image", height=2, width=3)


async def test_a_fault_comes_with_the_shape_type_and_range_of_what_was_given() -> None:
    nodes = {
        "i": PICTURE,
        "m": at("mask"),
        "l": at("latent"),
        "c": at("crash", image="i.image", mask="m.mask", latent="l.latent", strength=0.5),
    }
    problem, _ = await problem_of(nodes)
    assert problem.node == "c"
    assert "RuntimeError: The size of tensor a (3) must match" in problem.message
    for part in (
        "image = 2 x 3 x 3 float32 0 to 1",
        "mask = 4 x 5 float32 with NaN or infinity",
        "latent = 4 x 8 x 6 float32 -2 to -2, 8 x 6 float32 1 to 1",
        "strength = 0.5",
        'name = "x"',
    ):
        assert part in problem.got.split("; ")


@pytest.mark.parametrize("exact", [True, False])
async def test_a_fault_on_a_device_says_so_too(exact: bool) -> None:
    problem, _ = await problem_of({"i": PICTURE, "c": at("crash_there", image="i.image")}, exact=exact)
    assert problem.got == "gain = 2.0; image = 2 x 3 x 3 float32 0 to 1"


async def test_a_fault_in_a_batch_says_what_that_call_was_given() -> None:
    nodes = {"i": PICTURE, "j": at("image", height=4, width=1)}
    nodes |= {f"c{name}": at("crash_there", image=f"{name}.image") for name in "ij"}
    shapes = {"i": "2 x 3", "j": "4 x 1"}
    async with Engine(Library.of([faulty()]), device=PretendedDevice) as engine:
        for _ in range(4):  # the batches grow with what was learned
            result = await run(engine, nodes, ["ci", "cj"], exact=False)
            got = {problem.node: problem.got for problem in result.problems}
            assert got == {f"c{name}": f"gain = 2.0; image = {size} x 3 float32 0 to 1" for name, size in shapes.items()}


async def test_a_fault_of_an_async_node_says_so_too() -> None:
    problem, _ = await problem_of({"i": PICTURE, "c": at("crash_later", image="i.image")})
    assert problem.got == "image = 2 x 3 x 3 float32 0 to 1"


async def test_a_list_is_told_by_its_length_and_its_first_item() -> None:
    problem, _ = await problem_of({"i": PICTURE, "c": at("crash_on_many", images="i.image")})
    assert problem.got == "images = 1 x 2 x 3 x 3 float32 0 to 1"


async def test_a_users_mistake_is_told_in_the_words_of_the_node() -> None:
    problem, _ = await problem_of({"i": PICTURE, "c": at("refuse", image="i.image")})
    assert (problem.expected, problem.got) == ("64 x 64", "2 x 3")


@pytest.mark.parametrize("kind", ["fetch", *(pytest.param(kind) for kind in ("tell", "refuse_telling", "tell_with_cause"))])
async def test_a_secrets_value_is_in_no_error_whatever_the_node_says(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEGRAPH_SECRET_HUB", "hunter2-0123456789")
    nodes = {"c": at(kind, token="hub", **({} if kind in ("refuse_telling", "tell_with_cause") else {"url": "https://hub"}))}
    problem, told = await problem_of(nodes)
    assert "hunter2" not in repr(problem)
    assert "hunter2" not in told
