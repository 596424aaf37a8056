"""SIGKILL at random moments: what the store acknowledged is there afterwards, and once."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from jobs.stores import opened
from nodegraph.jobs import Key

KILLS = int(os.environ.get("NODEGRAPH_KILLS", "20"))
_COMMITTER = Path(__file__).with_name("committer.py")


def lived(folder: Path, seconds: float) -> list[list[str]]:
    """What a process acknowledged that was killed so long after it opened the store."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen([sys.executable, str(_COMMITTER), str(folder)], stdout=said, env=environment)
        end = time.monotonic() + 30
        while "open" not in (folder / "said").read_text():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.005)
        time.sleep(seconds)  # the moment is what is drawn
        process.kill()
        process.wait()
        said.seek(0)
        return [line.split() for line in said]


@pytest.mark.slow
async def test_killed_at_any_moment_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    chance = random.Random(5)
    said: dict[str, set[str]] = defaultdict(set)
    added: dict[str, str] = {}
    sent: set[str] = set()
    for _ in range(KILLS):
        for kind, *rest in lived(tmp_path, chance.uniform(0.0, 0.15)):
            said[kind].update(rest[:1])
            if kind == "added":
                added[rest[0]] = rest[1]
            elif kind == "sent":
                sent.add(rest[0])
    async with opened(tmp_path) as store:
        await store.recover()
        for name, id_ in added.items():  # its request, sent again, gives the same job
            assert (await store.made_by(Key.of(name, b"body"))).id == id_  # type: ignore[union-attr]
    tables = sqlite3.connect(tmp_path / "jobs.sqlite")
    states = dict(tables.execute("SELECT id, state FROM jobs").fetchall())
    titles = Counter(title for (title,) in tables.execute("SELECT title FROM jobs"))
    ends = Counter(
        job for job, text in tables.execute("SELECT job, text FROM events") if json.loads(text)["type"] == "job_finished"
    )
    assert len(said["finished"]) > KILLS, "too little happened to show anything"
    assert set(added.values()) <= set(states)
    assert set(titles) <= sent
    assert max(titles.values()) == 1
    assert all(states[id_] == "succeeded" for id_ in said["finished"])
    assert all(states[id_] in ("queued", "succeeded") for id_ in said["claimed"])
    assert ends == Counter([id_ for id_, state in states.items() if state == "succeeded"])
    assert tables.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert dict(tables.execute("SELECT state, jobs FROM counts WHERE jobs > 0")) == Counter(states.values())
