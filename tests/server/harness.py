"""A real server as a second process, with real workers, for black-box tests over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TOKEN = "a-token-of-these-tests-0123456789"
BUSY = [{"kind": "pack", "name": "busy"}]
_TESTS = Path(__file__).parent


def with_busy_pack(site: Path) -> Path:
    """A folder for PYTHONPATH in which the pack `busy` is installed."""
    info = site / "busy-1.0.dist-info"
    if not info.is_dir():
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: busy\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[nodegraph.packs]\nbusy = busy_pack\n")
        (site / "busy_pack.py").write_text((_TESTS / "busy.py").read_text())
    return site


class ServerProcess:
    """`nodegraph serve` on a free port. Starting again after it ended or was killed uses the same data folder."""

    def __init__(self, data: Path, *arguments: str, site: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self.data, self.arguments = data, arguments
        self.log = data.parent / f"{data.name}-server.log"
        self.busy_log = data.parent / f"{data.name}-busy.log"
        path = os.pathsep.join(filter(None, [str(site) if site else "", os.environ.get("PYTHONPATH", "")]))
        self.env = {**os.environ, "PYTHONPATH": path, "BUSY_LOG": str(self.busy_log), **(env or {})}
        self.env.pop("NODEGRAPH_DATA", None)
        self.token: str | None = TOKEN
        self.own_token = False
        self.before: tuple[str, ...] = ()
        self.url = ""
        self.first_line = ""

    def start(self, seconds: float = 60.0) -> ServerProcess:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "nodegraph.cli", "serve", "--data", str(self.data), "--port", "0"]
        if "--no-auth" not in self.arguments and not self.own_token:
            command += ["--token", TOKEN]
        log = self.log.open("ab")
        self.process = subprocess.Popen(
            [*self.before, *command, *self.arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            env=self.env,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        found = re.search(r"http://[^\s/]+", self.first_line)
        assert found, f"the server said {self.first_line!r}\n{self.log.read_text()[-3000:]}"
        self.url = found[0]
        return self

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, seconds: float = 60.0
    ) -> tuple[int, Any]:
        """One request: the status, and the answer as JSON where it is JSON, else its bytes."""
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            given["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data=data, method=method, headers={**given, **(headers or {})})
        try:
            with urlopen(request, timeout=seconds) as answer:
                status, kind, content = answer.status, answer.headers.get_content_type(), answer.read()
        except HTTPError as error:
            status, kind, content = error.code, error.headers.get_content_type(), error.read()
        return status, json.loads(content) if kind.endswith("json") and content else content

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, seconds: float = 60.0
    ) -> tuple[int, HTTPMessage, bytes]:
        """One request as it is, on a connection of its own: status, headers, content."""
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=seconds)
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(method, path, body, {**given, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The answer to a GET that succeeds."""
        status, answer = self.ask("GET", path)
        assert status == 200, (status, answer)
        return answer

    def submit(self, workflow: Mapping[str, Any], **more: Any) -> str:
        """Queue a workflow, with consent to the test pack; the job's id."""
        status, answer = self.ask("POST", "/api/jobs", {"workflow": workflow, "accept": BUSY, **more})
        assert status == 202, (status, answer)
        return str(answer["id"])

    def wait(self, id_: str, *states: str, seconds: float = 60.0) -> Any:
        """The job, once it is in one of these states; without any, once it has ended."""
        wanted = states or ("succeeded", "failed", "cancelled")
        return until(lambda: (job := self.get(f"/api/jobs/{id_}"))["state"] in wanted and job, seconds, self.log)

    @property
    def worker_pids(self) -> list[int]:
        return [worker["pid"] for worker in self.get("/api/system")["workers"] if worker["pid"]]

    def ready_worker(self) -> int:
        """The process id of the only worker, once it is ready: one that dies while it starts is another matter."""

        def look() -> Any:
            (worker,) = self.get("/api/system")["workers"]
            return worker["state"] == "ready" and worker["pid"]

        return int(until(look, 60.0, self.log))

    def lines(self) -> list[str]:
        """What the nodes of the test pack wrote down."""
        return self.busy_log.read_text().splitlines() if self.busy_log.exists() else []

    def kill(self) -> None:
        """SIGKILL: nothing is put in order."""
        self.process.kill()
        self._over()

    def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, and wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds)
        self._over()
        return int(self.process.returncode)

    def _over(self) -> None:
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> ServerProcess:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.stop()


def until(look: Callable[[], Any], seconds: float = 60.0, log: Path | None = None) -> Any:
    """What `look` gives once it is true. Looks again and again, because the other process cannot be awaited."""
    end = time.monotonic() + seconds
    while not (found := look()):
        said = "" if log is None else f"; the server said\n{log.read_text()[-2000:]}"
        assert time.monotonic() < end, f"not within {seconds} s{said}"
        time.sleep(0.02)
    return found


def chain(labels: Sequence[str], seconds: float = 0.0, kind: str = "work") -> dict[str, Any]:
    """A workflow of steps one after another; its output `page` is a file with their labels."""
    nodes: dict[str, Any] = {}
    before = ""
    for i, label in enumerate(labels):
        links = {"after": f"{before}.value"} if before else {}
        inputs = {"label": label, "seconds": seconds} if kind == "work" else {"label": label}
        nodes[f"s{i}"] = {"type": f"busy/{kind}", "version": 1, "inputs": inputs, **({"links": links} if links else {})}
        before = f"s{i}"
    nodes["page"] = {"type": "busy/page", "version": 1, "links": {"text": f"{before}.value"}}
    interface = {"inputs": {"label": {"to": ["s0.label"]}}, "outputs": {"page": "page.artifact"}}
    return {"nodegraph": 1, "title": "Chain", "nodes": nodes, "interface": interface}
