"""What the server costs its clients while a worker computes: submitting, looking, events; and whether its memory stays flat.

`python benchmarks/server.py [--quick] [--json] [--jobs 1000] [--sockets 200] [--flat 500]`. The server is a process of its own
with a real worker that denoises pictures all the time. Latencies are the client's, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import psutil

TOKEN = "a-token-for-this-benchmark"
PICTURES = Path(__file__).parent.parent / "workflows" / "text_to_image.json"


class Served:
    """A server of our own, and the process behind it."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, "-m", "nodegraph.cli", "serve", "--data", str(data), "--port", "0", "--token", TOKEN]
        environment = {**os.environ, "NODEGRAPH_SERVER__REQUESTS_PER_SECOND": "100000"}
        begun = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        assert self.process.stdout is not None
        found = re.search(r"http://[^\s/]+", self.process.stdout.readline())
        assert found, "the server did not start"
        self.url, self.started_ms = found[0], (time.perf_counter() - begun) * 1e3
        self.usage = psutil.Process(self.process.pid)

    @property
    def cpu_seconds(self) -> float:
        times = self.usage.cpu_times()
        return float(times.user + times.system)

    @property
    def rss(self) -> int:
        return int(self.usage.memory_info().rss)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def sum_of(a: int, b: int) -> dict[str, Any]:
    """The smallest job that computes: one addition."""
    node = {"type": "core/calculate_whole", "version": 1, "inputs": {"a": a, "b": b, "operation": "add"}}
    interface = {"inputs": {"a": {"to": ["sum.a"]}}, "outputs": {"sum": "sum.value"}}
    return {"nodegraph": 1, "title": "Sum", "nodes": {"sum": node}, "interface": interface}


class Client:
    """Requests that are timed."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http, self.url = http, url

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[Any, float]:
        """The answer, and the milliseconds until it was there."""
        begun = time.perf_counter()
        async with self.http.request(method, self.url + path, json=body) as answer:
            content = await answer.json()
            assert answer.status < 300, content
        return content, (time.perf_counter() - begun) * 1e3


def quantiles(values: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100)
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2), "max": round(max(values), 2)}


async def submit_all(client: Client, count: int, connections: int) -> list[float]:
    """So many jobs over so many connections, each sending the next when it has its answer."""
    numbers = iter(range(count))

    async def one() -> list[float]:
        return [
            (await client.ask("POST", "/api/jobs", {"workflow": sum_of(number, 1), "inputs": {"a": number}}))[1]
            for number in numbers
        ]

    return [value for values in await asyncio.gather(*(one() for _ in range(connections))) for value in values]


async def until(client: Client, path: str, holds: Callable[[Any], bool]) -> Any:
    """The answer to a GET, once it is as wanted."""
    while True:
        answer, _ = await client.ask("GET", path)
        if holds(answer):
            return answer
        await asyncio.sleep(0.1)


async def keep_busy(client: Client, over: asyncio.Event) -> int:
    """Pictures, two at a time, until it is over; how many."""
    workflow, made = json.loads(PICTURES.read_text()), 0
    while not over.is_set():
        ids = []
        for seed in (made, made + 1):
            body = {"workflow": workflow, "inputs": {"prompt": "a red apple", "seed": seed}, "priority": 10}
            ids.append((await client.ask("POST", "/api/jobs", body))[0]["id"])
        for id_ in ids:
            await until(client, f"/api/jobs/{id_}", lambda job: job["state"] == "succeeded")
        made += 2
    return made


async def ended(client: Client) -> None:
    """Wait until nothing is queued and nothing runs."""
    await until(client, "/api/jobs?state=queued&state=running&limit=1", lambda page: not page["jobs"])


class Listeners:
    """Many WebSocket clients: how many events each got, and how late each came, seen from its commit."""

    def __init__(self, client: Client) -> None:
        self._client, self._stack = client, AsyncExitStack()
        self.latencies: list[float] = []
        self.counts: list[int] = []
        self.last: list[int] = []

    async def open(self, count: int) -> None:
        seq = (await self._client.ask("GET", "/api/system"))[0]["seq"]
        url = f"{self._client.url}/api/events?previews=false&since={seq}"
        self._sockets = [await self._stack.enter_async_context(self._client.http.ws_connect(url)) for _ in range(count)]
        self.counts, self.last = [0] * count, [0] * count
        self._tasks = [asyncio.create_task(self._listen(i, socket)) for i, socket in enumerate(self._sockets)]

    async def close(self) -> None:
        """Wait until everybody has everything."""
        seq = (await self._client.ask("GET", "/api/system"))[0]["seq"]
        await until(self._client, "/healthz", lambda _: all(last >= seq for last in self.last))
        await asyncio.gather(*(socket.close() for socket in self._sockets))
        await asyncio.gather(*self._tasks)
        await self._stack.aclose()
        assert len(set(self.counts)) == 1, "every client gets every event"

    async def _listen(self, i: int, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now, event = time.time(), json.loads(message.data)
            if event["seq"] is not None:
                self.latencies.append((now - event["at"]) * 1e3)
                self.counts[i] += 1
                self.last[i] = event["seq"]


async def measure(served: Served, jobs: int, sockets: int, flat: int) -> dict[str, Any]:
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers, connector=connector) as http, asyncio.TaskGroup() as group:
        client = Client(http, served.url)
        over = asyncio.Event()
        busy = group.create_task(keep_busy(client, over))
        await until(client, "/api/system", lambda system: any(worker["jobs"] for worker in system["workers"]))
        await submit_all(client, 20, 4)
        cpu, begun = served.cpu_seconds, time.perf_counter()
        submits = await submit_all(client, jobs, 8)
        seconds = time.perf_counter() - begun
        cpu = served.cpu_seconds - cpu
        gets = [(await client.ask("GET", "/api/jobs?limit=1"))[1] for _ in range(300)]
        await until(client, "/api/jobs?state=queued&limit=1", lambda page: not page["jobs"])
        listeners = Listeners(client)
        await listeners.open(sockets)
        for _ in range(25):
            await submit_all(client, 2, 1)
            await asyncio.sleep(0.2)
        over.set()
        made = await busy
        await ended(client)
        await listeners.close()
        rss = [served.rss]
        for _ in range(5):
            await submit_all(client, flat // 5, 8)
            await ended(client)
            rss.append(served.rss)
    return {
        "first_page_ms": round(served.started_ms),
        "jobs": jobs,
        "jobs_per_second": round(jobs / seconds),
        "server_cpu_ms_per_submit": round(1e3 * cpu / jobs, 2),
        "submit_ms": quantiles(submits),
        "get_ms": quantiles(gets),
        "sockets": sockets,
        "events_each": listeners.counts[0],
        "event_ms": quantiles(listeners.latencies),
        "pictures_meanwhile": made,
        "flat_jobs": flat,
        "rss_mb": [round(value / 1e6, 1) for value in rss],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--flat", type=int, default=500)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.jobs, options.sockets, options.flat = 100, 20, 50
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder) / "data")
        try:
            found = asyncio.run(measure(served, options.jobs, options.sockets, options.flat))
        finally:
            served.stop()
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
