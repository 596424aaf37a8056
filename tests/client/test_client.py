"""The Python client against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server.harness import BUSY, TOKEN, ServerProcess, chain, until

import nodegraph
from nodegraph.client import ClientError, JobCancelled, JobFailed, Refused, ServerGone, Untrusted
from nodegraph.wire.events import Event, JobChanged, NodeFinished, Preview

pytestmark = pytest.mark.slow


@pytest.fixture
def client(server: ServerProcess) -> Iterator[nodegraph.Client]:
    with nodegraph.Client(server.url, TOKEN) as found:
        yield found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# ---- running ----


def test_a_run_gives_its_files_values_and_inputs(client: nodegraph.Client, tmp_path: Path) -> None:
    result = client.run(chain(["a", "b"]), accept=BUSY, label="first")
    assert result.inputs == {"label": "first"}
    assert result.read("page") == b"first>b"
    assert result.nodes["s1"]["state"] == "computed"
    rows = result.save(tmp_path)
    assert Path(rows["page"][0]["path"]).read_bytes() == b"first>b"
    assert rows["page"][0]["digest"] == "sha256:" + hashlib.sha256(b"first>b").hexdigest()
    assert result.save(tmp_path) == rows  # the same content is there already


def test_values_come_without_files(client: nodegraph.Client) -> None:
    nodes = {"a": {"type": "core/integer", "inputs": {"value": 3}}}
    result = client.run({"nodegraph": 1, "nodes": nodes, "interface": {"outputs": {"n": "a.value"}}})
    assert (result.values, result.files) == ({"n": 3}, {})


def test_a_saved_workflow_gives_the_same_bytes_as_a_local_run(client: nodegraph.Client, tmp_path: Path) -> None:
    local = nodegraph.load("workflows/text_to_image.json").run(seed=11, out=tmp_path / "here").files["image"][0]
    previews: list[Preview] = []
    result = client.run("text_to_image", seed=11, on_preview=previews.append)
    there = result.save(tmp_path / "there")["image"][0]
    assert there["digest"] == local["digest"]
    assert Path(there["path"]).name == Path(local["path"]).name
    assert Path(there["path"]).read_bytes() == Path(local["path"]).read_bytes()
    assert all(preview.png.startswith(b"\x89PNG") for preview in previews)


def test_what_happens_is_told_in_order(client: nodegraph.Client) -> None:
    told: list[Event] = []
    client.run(chain(["t1", "t2"]), accept=BUSY, on_event=told.append)
    numbers = [event.seq for event in told if event.seq is not None]
    assert numbers == sorted(set(numbers))
    assert [event.state for event in told if isinstance(event, JobChanged)] == ["queued", "running", "succeeded"]
    assert {event.node for event in told if isinstance(event, NodeFinished)} == {"s0", "s1", "page"}


def test_a_path_among_the_inputs_is_uploaded(client: nodegraph.Client, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (5, 3), "red").save(tmp_path / "red.png")
    nodes = {
        "load": {"type": "image/load_image", "inputs": {"path": ""}},
        "size": {"type": "image/image_size", "links": {"image": "load.image"}},
    }
    interface = {"inputs": {"picture": {"to": ["load.path"]}}, "outputs": {"width": "size.width"}}
    result = client.run({"nodegraph": 1, "nodes": nodes, "interface": interface}, picture=tmp_path / "red.png")
    assert result.values == {"width": 5}
    with pytest.raises(ClientError, match="cannot be read"):
        client.upload(tmp_path / "blue.png")


def test_a_job_that_was_queued_before_can_be_waited_for(client: nodegraph.Client) -> None:
    job = client.submit(chain(["w"], seconds=0.5), accept=BUSY)
    assert client.wait(job.id).read("page") == b"w"
    assert client.wait(job.id).job.state == "succeeded"  # also afterwards
    assert list(client.progress(job.id)) == []


def test_a_wait_can_be_limited(client: nodegraph.Client) -> None:
    job = client.submit(chain(["slow"], seconds=60.0), accept=BUSY)
    with pytest.raises(TimeoutError):
        client.wait(job.id, timeout=0.3)
    client.cancel(job.id)


def test_jobs_are_listed_over_pages(client: nodegraph.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [client.submit(chain([f"p{i}"]), accept=BUSY).id for i in range(3)]
    assert [job.id for job in client.jobs(limit=3)] == made[::-1]
    assert set(made) <= {job.id for job in client.jobs()}
    for id_ in made:
        client.wait(id_)


def test_the_server_tells_what_it_has(client: nodegraph.Client) -> None:
    assert "text_to_image" in {row.id for row in client.workflows()}
    assert client.workflow("text_to_image").shipped
    assert "core/integer" in client.nodes()["nodes"]
    assert client.system().workers


async def test_the_asynchronous_client_runs_jobs_side_by_side(server: ServerProcess) -> None:
    async with nodegraph.AsyncClient(server.url, TOKEN) as client:
        results = await asyncio.gather(*(client.run(chain([f"side {i}"]), accept=BUSY) for i in range(3)))
        assert [await result.read("page") for result in results] == [b"side 0", b"side 1", b"side 2"]


# ---- what goes wrong ----


def test_an_invalid_workflow_raises_with_every_problem(client: nodegraph.Client) -> None:
    nodes = {"a": {"type": "core/integer", "inputs": {"value": "x"}}, "b": {"type": "no/such"}}
    with pytest.raises(nodegraph.InvalidWorkflow) as invalid:
        client.run({"nodegraph": 1, "nodes": nodes, "interface": {"outputs": {"n": "a.value", "m": "b.x"}}})
    assert {problem.node for problem in invalid.value.problems} >= {"a", "b"}


def test_what_a_workflow_wants_is_listed_and_can_be_accepted(client: nodegraph.Client) -> None:
    with pytest.raises(Untrusted) as untrusted:
        client.run(chain(["u"]))
    assert [(want.kind, want.name) for want in untrusted.value.wants] == [("pack", "busy")]
    assert client.run(chain(["u"]), accept=untrusted.value.wants).read("page") == b"u"


def test_a_failed_job_raises_with_its_nodes(client: nodegraph.Client) -> None:
    with pytest.raises(JobFailed, match="This never works") as failed:
        client.run(chain(["f"], kind="refuse"), accept=BUSY)
    assert failed.value.problems[0].node == "s0"
    assert failed.value.job.nodes["s0"].state == "failed"


def test_a_cancelled_job_raises(client: nodegraph.Client, server: ServerProcess) -> None:
    job = client.submit(chain(["c"], seconds=60.0), accept=BUSY)
    until(lambda: "c" in server.lines())
    threading.Timer(0.2, client.cancel, [job.id]).start()
    with pytest.raises(JobCancelled):
        client.wait(job.id)


async def test_following_a_job_that_was_removed_meanwhile_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    client, job = nodegraph.AsyncClient("http://127.0.0.1:1"), "0" * 26

    async def events(*args: Any, **more: Any) -> AsyncGenerator[Event]:
        yield Event(seq=9, type="job_deleted", job=job)  # what told of its end went with it
        await asyncio.Event().wait()

    monkeypatch.setattr(client, "events", events)
    async with asyncio.timeout(5):
        assert [event.type async for event in client.follow(job, 3)] == ["job_deleted"]


def test_there_is_no_such_job(client: nodegraph.Client) -> None:
    with pytest.raises(Refused) as refused:
        client.job("0" * 26)
    assert (refused.value.status, refused.value.kind) == (404, "not_found")


def test_a_wrong_token_is_refused_with_what_to_do(server: ServerProcess) -> None:
    with nodegraph.Client(server.url, "not-the-token-of-this-server") as client, pytest.raises(Refused) as refused:
        client.run("text_to_image")
    assert refused.value.status == 401
    assert "not-the-token" not in str(refused.value)


def test_without_a_server_it_says_so_at_once() -> None:
    with nodegraph.Client(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(ServerGone, match="No server answers"):
        client.run("text_to_image")


# ---- a server that comes and goes ----


def test_a_wait_outlives_a_restart_of_the_server(new_server: Callable[..., ServerProcess]) -> None:
    port = str(free_port())
    first = new_server("--port", port).start()
    with nodegraph.Client(first.url, TOKEN) as client:
        job = client.submit(chain(["r1", "r2"], seconds=1.0), accept=BUSY)
        until(lambda: "r1" in first.lines())
        told: list[Any] = []
        following = threading.Thread(target=lambda: told.extend(client.progress(job.id)))
        following.start()
        first.kill()
        new_server("--port", port).start()
        assert client.wait(job.id).read("page") == b"r1>r2"
        following.join(60)
        numbers = [event.seq for event in told if event.seq is not None]
        assert numbers == sorted(set(numbers))
        assert told[-1].state == "succeeded"


def test_a_submission_while_the_server_restarts_queues_one_job(new_server: Callable[..., ServerProcess]) -> None:
    port = str(free_port())
    first = new_server("--port", port).start()
    with nodegraph.Client(first.url, TOKEN) as client:
        assert list(client.jobs()) == []
        first.kill()
        made: list[str] = []
        asking = threading.Thread(target=lambda: made.append(client.submit(chain(["once"]), accept=BUSY).id))
        asking.start()
        second = new_server("--port", port).start()
        asking.join(60)
        assert [job.id for job in client.jobs()] == made
        assert second.wait(made[0])["state"] == "succeeded"


class Breaking:
    """A relay to a server that breaks the first connections that carry a POST, after the server has got all of it."""

    def __init__(self, port: int, times: int) -> None:
        self._port, self._left = port, times
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, forth: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if not forth and self._left and data.startswith(b"HTTP/1.1 202"):  # the job is queued, and nobody hears of it
                    self._left -= 1
                    break
                target.sendall(data)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()


def test_a_submission_whose_answers_are_lost_queues_one_job(server: ServerProcess) -> None:
    relay = Breaking(int(server.url.rpartition(":")[2]), times=3)
    with nodegraph.Client(relay.url, TOKEN) as through, nodegraph.Client(server.url, TOKEN) as direct:
        before = {job.id for job in direct.jobs()}
        through.latest_event()
        job = through.submit(chain(["lost"]), accept=BUSY)
        assert {found.id for found in direct.jobs()} - before == {job.id}
    relay.close()


def test_a_server_that_does_not_come_back_is_gone(new_server: Callable[..., ServerProcess]) -> None:
    running = new_server().start()
    with nodegraph.Client(running.url, TOKEN, patience=0.5) as client:
        job = client.submit(chain(["gone"], seconds=30.0), accept=BUSY)
        running.kill()
        with pytest.raises(ServerGone, match="gone"):
            client.wait(job.id)


def test_without_an_address_the_client_finds_the_server_of_the_data_folder(new_server: Callable[..., ServerProcess]) -> None:
    running = new_server().start()
    assert json.loads((running.data / "server.json").read_text())["url"] == running.url
    with nodegraph.Client(data=running.data) as client:
        assert client.run(chain(["found"]), accept=BUSY).read("page") == b"found"
