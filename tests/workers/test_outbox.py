"""What a worker has to say waits in order, and what merely passes takes no more room than its latest state."""

from __future__ import annotations

import io
import os
import threading
from typing import Any

from nodegraph.workers.messages import FROM_WORKER, Message, read_frame
from nodegraph.workers.outbox import Outbox


def preview(node: str, number: int, job: str = "j") -> Message:
    about = {"job": job, "attempt": 1, "node": node, "width": number, "height": 1}
    return {"kind": "preview", **about, "png": bytes(100_000)}


def event(number: int, job: str = "j") -> Message:
    return {"kind": "events", "job": job, "attempt": 1, "events": str(number)}


def written(outbox: Outbox) -> list[dict[str, Any]]:
    outbox.close()
    stream = io.BytesIO()
    outbox.write_to(stream)
    stream.seek(0)
    return list(iter(lambda: read_frame(stream, FROM_WORKER), None))  # type: ignore[arg-type]


def test_what_counts_is_written_in_its_order() -> None:
    outbox = Outbox()
    for number in range(100):
        outbox.put(event(number))
    assert [message["events"] for message in written(outbox)] == [str(number) for number in range(100)]


def test_of_previews_only_the_latest_of_each_node_waits() -> None:
    outbox = Outbox()
    for number in range(1, 500):
        outbox.put(preview("a", number))
        outbox.put(preview("b", number))
    assert outbox.waiting_bytes < 250_000
    assert [(message["node"], message["width"]) for message in written(outbox)] == [("a", 499), ("b", 499)]


def test_pictures_of_a_job_that_is_over_are_not_sent() -> None:
    outbox = Outbox()
    outbox.put(preview("a", 1))
    outbox.put(preview("a", 2, job="other"))
    outbox.put({"kind": "done", "job": "j", "attempt": 1, "ended": "{}"})
    assert [(message["kind"], message["job"]) for message in written(outbox)] == [("done", "j"), ("preview", "other")]


def test_a_reader_that_stands_still_holds_up_nobody_who_speaks() -> None:
    reading, writing = os.pipe()
    outbox = Outbox()
    outgoing = io.FileIO(writing, "wb")

    def write() -> None:
        outbox.write_to(outgoing)
        outgoing.close()

    thread = threading.Thread(target=write)
    thread.start()
    for number in range(1, 200):  # far more than a pipe holds; nobody reads
        outbox.put(preview("a", number))
    outbox.put(event(1))
    outbox.close()
    assert outbox.waiting_bytes < 500_000
    with os.fdopen(reading, "rb") as incoming:
        found = list(iter(lambda: read_frame(incoming, FROM_WORKER), None))  # type: ignore[arg-type]
    thread.join(10)
    assert [message["kind"] for message in found].count("events") == 1
    assert max(message.get("width", 0) for message in found) == 199


def test_a_reader_that_is_gone_ends_the_writing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outbox = Outbox()
    outbox.put(event(1))
    with io.FileIO(writing, "wb") as outgoing:
        outbox.write_to(outgoing)
    outbox.put(event(2))
    assert outbox.waiting_bytes == 0
