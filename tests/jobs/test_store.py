"""The job store: idempotency, pages, the queue's pages, finding jobs by what is in them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stores import ended, finished, new, opened, tables
from nodegraph.jobs import Filter, Key, KeyReused, LoggedEvent, NotNow, QueueFull, words
from nodegraph.jobs import store as stores
from nodegraph.jobs.ids import new_id
from nodegraph.wire.events import JobChanged, read_event


async def test_the_same_request_with_a_key_makes_one_job_however_often_it_comes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        key = Key.of("k", b"body")
        made = await asyncio.gather(*(store.add(new(), key) for _ in range(20)))
        assert len({job.id for job, _ in made}) == 1
        assert [fresh for _, fresh in made].count(True) == 1
        assert (await store.made_by(key)).id == made[0][0].id  # type: ignore[union-attr]


async def test_a_key_with_another_request_is_refused_and_queues_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(new(), Key.of("k", b"body"))
        with pytest.raises(KeyReused):
            await store.add(new(), Key.of("k", b"another body"))
        with pytest.raises(KeyReused):
            await store.made_by(Key.of("k", b"another body"))
        assert await store.counts() == {"queued": 1}


async def test_a_request_that_was_refused_can_be_sent_again_under_its_key(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(new())
        with pytest.raises(QueueFull):
            await store.add(new(), Key.of("k", b"body"), most_queued=1)
        _, fresh = await store.add(new(), Key.of("k", b"body"), most_queued=2)
        assert fresh


async def test_a_key_is_forgotten_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store:
        await store.add(new(), Key.of("k", b"body"))
        monkeypatch.setattr(stores, "KEY_SECONDS", -1.0)
        _, fresh = await store.add(new(), Key.of("k", b"another body"))
        assert fresh


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_requests_have_equal_digests_only_where_their_parts_are_equal(a: list[bytes], b: list[bytes]) -> None:
    assert (Key.of("k", *a) == Key.of("k", *b)) == (a == b)


async def test_pages_give_every_job_once_while_others_are_added(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        before = [(await store.add(new()))[0].id for _ in range(25)]
        seen, cursor = [], None
        while True:
            jobs, cursor = await store.page(Filter(), cursor, 4)
            seen += [job.id for job in jobs]
            await store.add(new("later"))
            if cursor is None:
                break
        assert seen == before[::-1]


async def test_pages_of_the_queue_give_what_waits_in_order_though_jobs_leave_and_come(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        made = [(await store.add(new(priority=number % 3)))[0] for number in range(20)]
        expected = [job.id for job in sorted(made, key=lambda job: -job.priority)]
        first = await store.queue(None, 7)
        assert first.waiting == 20
        await store.cancel(first.queued[-1].id)  # the place that the next page goes on from
        await store.add(new(priority=2))  # before it
        second, third = await store.queue(first.next, 7), None
        third = await store.queue(second.next, 7)
        assert [job.id for page in (first, second, third) for job in page.queued] == expected
        assert third.next is None


async def test_a_job_is_moved_again_and_again_between_the_same_two(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        front, *others = [(await store.add(new()))[0].id for _ in range(4)]
        target, *others = others
        for _ in range(150):  # halving a distance of doubles ends after fifty times
            mover = others[0]
            await store.move_before(mover, target)
            others = [*others[1:], mover]
        found = await store.queue()
        assert [job.id for job in found.queued] == [front, *others, target]


async def test_a_job_that_runs_or_has_ended_has_no_place_to_be_moved_to(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        over = await finished(store)
        waits = (await store.add(new()))[0].id
        for change in (store.move_to_end(over, "first"), store.move_before(waits, over), store.set_priority(over, 3)):
            with pytest.raises(NotNow):
                await change
        assert await store.move_before(waits, new_id()) is None


async def test_a_retry_is_a_new_job_and_both_know_of_each_other(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        id_ = await finished(store, new("a title", priority=3, marks=[("seed", "7")], text="an owl"), ended("failed"))
        again, _ = await store.retry(id_)
        assert again is not None
        assert (again.title, again.priority, again.retry_of, again.attempts) == ("a title", 3, id_, 0)
        assert (await store.known(id_)).retried_as == again.id  # type: ignore[union-attr]
        assert await store.document(again.id) == await store.document(id_)
        found, _ = await store.page(Filter(text="owl", seed="7"), None, 10)
        assert {job.id for job in found} == {id_, again.id}


async def test_a_job_that_succeeded_or_waits_is_not_tried_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(NotNow):
            await store.retry(await finished(store))
        with pytest.raises(NotNow):
            await store.retry((await store.add(new()))[0].id)
        assert await store.retry(new_id()) == (None, True)


async def test_what_is_told_fits_the_models_of_events(tmp_path: Path) -> None:
    told: list[LoggedEvent] = []
    async with opened(tmp_path, told) as store:
        digest = "sha256:" + "a" * 64
        id_ = await finished(store, end=ended("failed", [digest]))
        await store.move_to_end((await store.add(new()))[0].id, "first")
        logged = await store.events_of(id_, 0, 100)
    events = [read_event(event.text) for event in told]
    assert [event.type for event in events] == ["job_queued", "job_started", "job_finished", "job_queued", "job_moved"]
    assert all(isinstance(event, JobChanged) for event in events)
    over = events[2]
    assert isinstance(over, JobChanged)
    assert over.outputs["out"][0].url == f"/api/artifacts/{digest}"
    assert [event.seq for event in logged] == [1, 2, 3]


# ---- finding ----


@pytest.fixture(params=[True, False], ids=["fts5", "like"])
def index(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With and without full-text search in SQLite."""
    if not request.param:
        monkeypatch.setattr(words, "has_index", lambda connection: False)
    return bool(request.param)


@pytest.mark.usefixtures("index")
async def test_jobs_are_found_by_words_whatever_a_person_types(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        owl = (await store.add(new(text='A red owl, "asleep" (masterpiece:1.2)\nin the NEAR distance')))[0].id
        cat = (await store.add(new(text="a blue cat; 100% fluffy_tail")))[0].id

        async def find(text: str) -> set[str]:
            return {job.id for job in (await store.page(Filter(text=text), None, 10))[0]}

        assert await find("owl") == await find("OWL red") == await find("ow") == {owl}
        assert await find("fluff") == await find("100") == {cat}
        assert await find('"asleep"') == {owl}
        for odd in ("AND", "NEAR", "owl OR cat", "x:y", "* ^ -", "'; DROP TABLE jobs", "(", '"', "\\", "\u0000", "é"):
            await find(odd)  # no query language, and no error
        assert await find("   ") == set()
        await store.cancel(owl)


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.usefixtures("index")
@given(st.lists(_TEXTS, max_size=5), _TEXTS)
def test_no_text_breaks_the_search(texts: list[str], wanted: str) -> None:
    connection = tables()
    for number, text in enumerate(texts):
        words.add_words(connection, str(number), text)
    condition, values = words.matching(connection, wanted)
    connection.execute(f"SELECT id FROM jobs WHERE {condition}", values).fetchall()
    for number in range(len(texts)):
        words.remove_words(connection, str(number))
    assert connection.execute("SELECT COUNT(*) FROM words").fetchone() == (0,)


async def test_what_was_written_without_full_text_search_is_found_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(words, "has_index", lambda connection: False)
        async with opened(tmp_path) as store:
            await store.add(new(text="a red owl"))
    async with opened(tmp_path) as store:
        found, _ = await store.page(Filter(text="owl"), None, 10)
        assert len(found) == 1


async def test_jobs_are_found_by_model_seed_node_workflow_state_and_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        marks = [("model", "checkpoints/Dreamy_XL.safetensors"), ("seed", "7"), ("node", "diffusion/denoise")]
        one = (await store.add(new(marks=marks, workflow_id="portrait")))[0]
        two = (await store.add(new(marks=[("seed", "77")])))[0]
        await store.pause(two.id)
        for wanted in (
            Filter(model="dreamy_xl"),
            Filter(seed="7"),
            Filter(node="diffusion/denoise"),
            Filter(workflow_id="portrait"),
            Filter(states=["queued", "failed"]),
            Filter(created_before=two.created),
        ):
            assert [job.id for job in (await store.page(wanted, None, 10))[0]] == [one.id], wanted
        assert [job.id for job in (await store.page(Filter(created_after=two.created), None, 10))[0]] == [two.id]
        assert (await store.page(Filter(model="Dreamy%XL"), None, 10))[0] == []


def test_ids_grow_though_the_clock_goes_back() -> None:
    far = "7" + "z" * 24 + "0"
    assert new_id(far) > far
    assert len(new_id(far)) == 26


async def test_how_many_are_in_each_state_is_always_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await finished(store)
        await store.add(new())
        assert await store.counts() == {"queued": 1, "running": 0, "succeeded": 1}


async def test_events_of_a_job_are_json_with_their_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        id_ = (await store.add(new()))[0].id
        (event,) = await store.events_of(id_, 0, 10)
        assert json.loads(event.text)["seq"] == event.seq == 1
        assert await store.events_of(id_, 1, 10) == []
