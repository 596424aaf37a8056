"""A process that uses a job store as a server does, and says what was acknowledged, a line each, until it is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from nodegraph.jobs import Ended, JobStore, Key, NewJob

ENDED = Ended("succeeded", {}, {}, None, 0.1)


async def main(folder: Path) -> None:
    store = JobStore(folder / "jobs.sqlite")

    def say(*words: object) -> None:
        os.write(1, (" ".join(map(str, words)) + "\n").encode())  # at once and whole: no buffer dies with us

    for job in await store.recover():
        say("recovered", job.id)

    async def submit(number: int) -> None:
        count = 0
        while True:
            name = f"{os.getpid()}-{number}-{count}"
            say("sent", name)
            job, _ = await store.add(NewJob('{"nodegraph": 1, "nodes": {}}', name, {}), Key.of(name, b"body"))
            say("added", name, job.id)
            count += 1
            await asyncio.sleep(0.002)

    async def work(name: str) -> None:
        while True:
            job = await store.claim(name, 0)
            if job is None:
                await asyncio.sleep(0.001)
                continue
            say("claimed", job.id, job.attempts)
            await store.finish(job.id, job.attempts, ENDED)
            say("finished", job.id)

    say("open")
    await asyncio.gather(*(submit(number) for number in range(4)), work("a"), work("b"))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
