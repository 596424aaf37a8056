"""The steps of a denoise: in order, with a picture each, while it runs, when it has ended, and when it came from the cache."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nodegraph.jobs.parts import number_of, parts_of
from server.harness import ServerProcess, chain, until

SHIPPED = Path(__file__).parents[2] / "workflows"

slow = pytest.mark.slow


def pictures(steps: int = 4, **inputs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A workflow that denoises, and its inputs."""
    workflow = json.loads((SHIPPED / "text_to_image.json").read_text())
    return workflow, {"prompt": "a panda", "seed": 5, "steps": steps, **inputs}


def ran(server: ServerProcess, workflow: dict[str, Any], inputs: dict[str, Any]) -> str:
    id_ = server.submit(workflow, inputs=inputs)
    job = server.wait(id_)
    assert job["state"] == "succeeded", job.get("error")
    return id_


def steps_of(server: ServerProcess, id_: str, node: str = "denoise") -> list[dict[str, Any]]:
    """The steps that a timeline shows."""
    found = server.get(f"/api/jobs/{id_}/steps?node={quote(node)}")["steps"]
    return [step for step in found if step.get("number")]


def pictured(server: ServerProcess, id_: str, node: str, count: int) -> dict[str, Any]:
    """What is told of a node with steps, once so many have pictures: those may come a moment after the job's end."""

    def look() -> dict[str, Any] | None:
        rows = server.get(f"/api/jobs/{id_}/steps")["nodes"]
        return next((row for row in rows if row["node"] == node and row["pictures"] == count), None)

    found: dict[str, Any] = until(look)
    return found


def picture(server: ServerProcess, step: dict[str, Any]) -> Image.Image:
    status, headers, data = server.send("GET", step["thumbnail"])
    assert (status, headers["Content-Type"]) == (200, "image/png")
    made = Image.open(io.BytesIO(data))
    made.load()
    return made


@slow
def test_a_job_shows_its_steps_with_pictures_in_order(server: ServerProcess) -> None:
    id_ = ran(server, *pictures())
    told = {"node": "denoise", "type": "diffusion/denoise", "steps": 5, "pictures": 4}
    assert pictured(server, id_, "denoise", 4) == told
    steps = steps_of(server, id_)
    assert [(step["node"], step["number"], step["state"]) for step in steps] == [
        (f"denoise/step_{number}", number, "computed") for number in range(1, 5)
    ]
    assert all(step["ms"] > 0 and step["bytes"] > 0 and step["type"] == "diffusion/denoise_step" for step in steps)
    made = [picture(server, step) for step in steps]
    assert len({image.tobytes() for image in made}) == 4
    assert {image.size for image in made} == {made[0].size}
    _, headers, _ = server.send("GET", steps[0]["thumbnail"])
    assert "immutable" in headers["Cache-Control"]
    assert server.send("GET", steps[0]["thumbnail"], headers={"If-None-Match": headers["ETag"]})[0] == 304
    assert server.send("HEAD", steps[0]["thumbnail"])[0] == 200


@slow
def test_steps_that_came_from_the_cache_keep_their_pictures(server: ServerProcess) -> None:
    first = ran(server, *pictures(seed=6))
    whole = ran(server, *pictures(seed=6))
    more = ran(server, *pictures(6, seed=6))
    pictured(server, first, "denoise", 4)
    before = [picture(server, step).tobytes() for step in steps_of(server, first)]
    assert server.get(f"/api/jobs/{whole}")["nodes"]["denoise"]["state"] in ("hit", "not_needed")
    assert [picture(server, step).tobytes() for step in steps_of(server, whole)] == before
    pictured(server, whole, "denoise", 4)
    pictured(server, more, "denoise", 6)
    longer = steps_of(server, more)
    assert [step["number"] for step in longer] == list(range(1, 7))
    assert all("thumbnail" in step for step in longer)


@slow
def test_a_running_job_shows_the_steps_that_are_done_and_those_to_come(server: ServerProcess) -> None:
    workflow, inputs = pictures(100, seed=7)
    id_ = server.submit(workflow, inputs=inputs)
    found = until(lambda: (steps := steps_of(server, id_)) and any("thumbnail" in step for step in steps) and steps)
    server.ask("POST", f"/api/jobs/{id_}/cancel")
    assert len(found) == 100
    assert found[0]["state"] == "computed"
    assert {step["state"] for step in found} >= {"computed", "waiting"}
    picture(server, next(step for step in found if "thumbnail" in step))
    running = server.wait(id_)
    assert running["state"] == "cancelled"
    assert any("thumbnail" in step for step in steps_of(server, id_)), "what was done before the end stays to be seen"


@slow
def test_steps_inside_subgraphs_and_of_items_have_their_own_paths(server: ServerProcess) -> None:
    workflow, inputs = pictures()
    nodes = workflow["nodes"]
    nodes["prompts"] = {"type": "core/split_lines", "version": 1, "inputs": {"value": "a red apple\na fox"}}
    nodes["prompt"]["inputs"].pop("text")
    nodes["prompt"].setdefault("links", {})["text"] = "prompts.texts"
    nodes["save"]["inputs"].pop("name")
    workflow["interface"]["inputs"].pop("prompt")
    inputs.pop("prompt")
    id_ = ran(server, workflow, inputs)
    listed = {row["node"]: row for row in server.get(f"/api/jobs/{id_}/steps")["nodes"]}
    assert listed["denoise"]["steps"] == 2
    pictured(server, id_, "denoise[1]", 4)
    assert [step["node"] for step in steps_of(server, id_, "denoise[1]")] == [
        f"denoise[1]/step_{number}" for number in range(1, 5)
    ]
    picture(server, steps_of(server, id_, "denoise[1]")[0])


@slow
def test_rows_of_a_running_job_have_types_and_of_a_finished_one_bytes(server: ServerProcess) -> None:
    id_ = server.submit(chain(["t1", "t2", "t3"], seconds=0.5))
    rows = until(lambda: (job := server.get(f"/api/jobs/{id_}"))["state"] == "running" and len(job["nodes"]) > 1 and job)[
        "nodes"
    ]
    assert {row["type"] for row in rows.values()} == {"busy/work"}
    done = server.wait(id_)["nodes"]
    assert done["page"]["bytes"] > 0
    told = [event for event in server.get(f"/api/jobs/{id_}/events")["events"] if event["type"] == "node_finished"]
    assert {event["node"]: (event["node_type"], event["bytes"]) for event in told} == {
        name: (row["type"], row["bytes"]) for name, row in done.items()
    }


@slow
def test_what_has_no_steps_or_no_picture_says_so(server: ServerProcess) -> None:
    id_ = server.submit(chain(["n1"]))
    server.wait(id_)
    assert server.get(f"/api/jobs/{id_}/steps") == {"nodes": [], "steps": []}
    assert server.get(f"/api/jobs/{id_}/steps?node=s0")["steps"] == []
    for node in ("s0", "nobody", "..%2f..", "%00"):
        assert server.ask("GET", f"/api/jobs/{id_}/nodes/thumbnail?node={node}")[0] == 404
    assert server.ask("GET", f"/api/jobs/{'0' * 26}/steps")[0] == 404


@slow
def test_the_steps_are_there_after_a_restart(new_server: Callable[..., ServerProcess]) -> None:
    with new_server() as server:
        id_ = ran(server, *pictures(2))
        pictured(server, id_, "denoise", 2)
        before = [picture(server, step).tobytes() for step in steps_of(server, id_)]
    with new_server() as again:
        assert [picture(again, step).tobytes() for step in steps_of(again, id_)] == before


PARTS = {
    "denoise": None,
    "denoise/step_1": "denoise",
    "denoise/step_10": "denoise",
    "denoise/finish": "denoise",
    "outer/denoise": None,
    "outer/denoise/step_3": "outer/denoise",
    "many": None,
    "many[0]": "many",
    "many[0]/step_2": "many[0]",
    "outer[1]/inner": None,
}


def test_parts_are_known_by_their_paths() -> None:
    found = parts_of(PARTS)
    assert {part: whole for whole, parts in found.items() for part in parts} == {
        part: whole for part, whole in PARTS.items() if whole
    }
    assert found["denoise"] == ["denoise/step_1", "denoise/step_10", "denoise/finish"]
    assert [number_of(path) for path in found["denoise"]] == [1, 10, None]
    assert number_of("many[0]") == 1


@given(st.lists(st.text(alphabet="ab/[]0_", max_size=8)))
def test_any_paths_give_parts_that_are_among_them(paths: list[str]) -> None:
    for whole, parts in parts_of(paths).items():
        assert {whole, *parts} <= set(paths)
        assert all(part.startswith(whole) and part != whole for part in parts)
