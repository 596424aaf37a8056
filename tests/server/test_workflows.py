"""Saved workflows over HTTP: what is saved is never lost, whoever saves what at the same time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from crash.disks import make_read_only, small_disk

from nodegraph.graph import dump_document, parse_document
from nodegraph.server.wording import not_written
from server.harness import BUSY, ServerProcess, chain, until

pytestmark = pytest.mark.slow

Answer = tuple[int, Any]


def text(title: str, value: str = "hello", **more: Any) -> dict[str, Any]:
    """A workflow of one node that computes nothing much."""
    node = {"type": "core/text", "version": 1, "inputs": {"value": value}}
    return {"nodegraph": 1, "title": title, "nodes": {"text": node}, **more}


def save(server: ServerProcess, id_: str, workflow: Any, base: str | None) -> Answer:
    return server.ask("PUT", f"/api/workflows/{id_}", {"workflow": workflow, **({} if base is None else {"base": base})})


def create(server: ServerProcess, id_: str, workflow: Any | None = None) -> str:
    """A new workflow; its digest."""
    status, answer = server.ask("POST", "/api/workflows", {"workflow": workflow or text(id_), "id": id_})
    assert status == 201, answer
    return str(answer["digest"])


def kind(answer: Answer) -> tuple[int, str]:
    return answer[0], answer[1]["type"].removeprefix("nodegraph:")


def file_of(server: ServerProcess, id_: str) -> Path:
    return server.data / "workflows" / f"{id_}.json"


# ---- what is saved ----


def test_a_workflow_is_saved_as_its_canonical_text_and_opened_again(server: ServerProcess) -> None:
    workflow = text("Saved", description="Says hello.")
    digest = create(server, "saved", workflow)
    lies = file_of(server, "saved").read_bytes()
    assert lies.decode() == dump_document(parse_document(json.dumps(workflow)))
    assert digest == hashlib.sha256(lies).hexdigest()
    found = server.get("/api/workflows/saved")
    assert found["workflow"] == json.loads(lies)
    assert (found["digest"], found["shipped"], found["problems"], found["wants"]) == (digest, False, [], [])


def test_without_an_id_the_title_becomes_one(server: ServerProcess) -> None:
    ids = [server.ask("POST", "/api/workflows", {"workflow": text("Ein Bild: größer!")})[1]["id"] for _ in range(2)]
    assert ids == ["ein_bild_gr_er", "ein_bild_gr_er_2"]


def test_an_id_that_is_taken_is_refused_and_the_file_stays(server: ServerProcess) -> None:
    create(server, "taken")
    before = file_of(server, "taken").read_bytes()
    refused = server.ask("POST", "/api/workflows", {"workflow": text("Other"), "id": "taken"})
    assert kind(refused) == (409, "exists")
    shipped = server.ask("POST", "/api/workflows", {"workflow": text("Other"), "id": "text_to_image"})
    assert kind(shipped) == (409, "exists")
    assert file_of(server, "taken").read_bytes() == before


def test_a_save_from_a_stale_base_is_refused_with_yours_and_current(server: ServerProcess) -> None:
    first = create(server, "stale")
    second = save(server, "stale", text("Mine"), first)[1]["digest"]
    refused = save(server, "stale", text("Theirs"), first)
    assert kind(refused) == (409, "stale_revision")
    assert (refused[1]["problems"][0]["expected"], refused[1]["problems"][0]["got"]) == (first, second)
    assert server.get("/api/workflows/stale")["workflow"]["title"] == "Mine"


@pytest.mark.parametrize("base", ["", "0" * 64])
def test_a_base_that_never_lay_there_is_stale(server: ServerProcess, base: str) -> None:
    if not file_of(server, "wrong_base").exists():
        create(server, "wrong_base")
    assert kind(save(server, "wrong_base", text("x"), base)) == (409, "stale_revision")


def test_a_save_says_what_it_is_based_on(server: ServerProcess) -> None:
    create(server, "no_base")
    assert kind(save(server, "no_base", text("x"), None)) == (428, "no_base")
    assert kind(server.ask("DELETE", "/api/workflows/no_base")) == (428, "no_base")
    assert kind(server.ask("POST", "/api/workflows/no_base/undo", {})) == (428, "no_base")


def test_a_workflow_that_was_deleted_meanwhile_does_not_come_back_by_itself(server: ServerProcess) -> None:
    digest = create(server, "gone")
    assert server.ask("DELETE", f"/api/workflows/gone?base={digest}")[0] == 204
    assert kind(save(server, "gone", text("x"), digest)) == (409, "stale_revision")
    assert save(server, "gone", text("x"), "")[0] == 200


def test_what_another_program_wrote_is_not_overwritten_and_becomes_a_revision(server: ServerProcess) -> None:
    digest = create(server, "outside")
    written = dump_document(parse_document(json.dumps(text("By hand"))))
    file_of(server, "outside").write_text(written)
    assert kind(save(server, "outside", text("Mine"), digest)) == (409, "stale_revision")
    found = server.get("/api/workflows/outside")
    assert save(server, "outside", text("Mine"), found["digest"])[0] == 200
    revisions = server.get("/api/workflows/outside/revisions")["revisions"]
    assert [row["kind"] for row in revisions] == ["save", "outside", "save"]
    assert server.get(f"/api/workflows/outside/revisions/{revisions[1]['id']}")["text"] == written


def test_what_is_no_workflow_is_not_saved(server: ServerProcess) -> None:
    nothings: tuple[Any, ...] = (
        {},
        {"nodes": []},
        {"nodes": {"not an id": {}}},
        {"3": {"class_type": "KSampler", "inputs": {}}},
    )
    for nothing in nothings:
        refused = save(server, "nothing", nothing, "")
        assert kind(refused) == (422, "invalid_workflow")
        assert refused[1]["problems"]
    assert not file_of(server, "nothing").exists()


def test_work_that_cannot_run_yet_is_saved_with_its_problems(server: ServerProcess) -> None:
    workflow = {"nodegraph": 1, "nodes": {"a": {"type": "core/text", "version": 1, "links": {"value": "b.text"}}}}
    create(server, "unfinished", workflow)
    assert server.get("/api/workflows/unfinished")["problems"]


# ---- two tabs ----


def test_of_two_tabs_that_save_at_once_one_is_told_and_none_is_lost(server: ServerProcess) -> None:
    base = create(server, "tabs")
    both = threading.Barrier(2)

    def tab(name: str) -> tuple[str, Answer]:
        both.wait()
        return name, save(server, "tabs", text("Tabs", name), base)

    for round_ in range(8):
        with ThreadPoolExecutor(2) as tabs:
            answers = list(tabs.map(tab, [f"left {round_}", f"right {round_}"]))
        assert sorted(answer[0] for _, answer in answers) == [200, 409]
        won = next(name for name, answer in answers if answer[0] == 200)
        lost = next(name for name, answer in answers if answer[0] == 409)
        found = server.get("/api/workflows/tabs")
        assert found["workflow"]["nodes"]["text"]["inputs"]["value"] == won
        again = save(server, "tabs", text("Tabs", lost), found["digest"])  # it looks, and saves anew
        assert again[0] == 200
        base = again[1]["digest"]
    texts = {
        json.loads(server.get(f"/api/workflows/tabs/revisions/{row['id']}")["text"])["nodes"]["text"]["inputs"]["value"]
        for row in server.get("/api/workflows/tabs/revisions")["revisions"]
    }
    assert texts == {"hello", *(f"{side} {round_}" for side in ("left", "right") for round_ in range(8))}


def test_many_who_save_at_once_leave_a_whole_file_and_every_text_in_the_history(server: ServerProcess) -> None:
    create(server, "crowd")

    def person(number: int) -> None:
        while True:
            found = server.get("/api/workflows/crowd")
            status, _ = save(
                server,
                "crowd",
                text("Crowd", f"{found['workflow']['nodes']['text']['inputs']['value']},{number}"),
                found["digest"],
            )
            if status == 200:
                return
            assert status == 409

    with ThreadPoolExecutor(6) as people:
        list(people.map(person, range(12)))
    value = server.get("/api/workflows/crowd")["workflow"]["nodes"]["text"]["inputs"]["value"]
    assert sorted(value.split(",")[1:], key=int) == [str(number) for number in range(12)]


def test_a_change_is_told_to_other_tabs(server: ServerProcess) -> None:
    since = server.get("/api/system")["seq"]
    digest = create(server, "told")
    saved = save(server, "told", text("Told", "more"), digest)[1]["digest"]
    server.ask("POST", "/api/workflows/told/rename", {"to": "told_2", "base": saved})
    events = _events(server, since, 4)
    assert [(event["type"], event["id"], event["digest"]) for event in events] == [
        ("workflow_saved", "told", digest),
        ("workflow_saved", "told", saved),
        ("workflow_saved", "told_2", saved),
        ("workflow_deleted", "told", saved),
    ]


def _events(server: ServerProcess, since: int, count: int) -> list[Any]:
    """The next events about workflows after `since`."""
    request = Request(f"{server.url}/api/events/stream?since={since}", headers={"Authorization": f"Bearer {server.token}"})
    found: list[Any] = []
    with urlopen(request, timeout=20) as stream:
        for line in stream:
            if line.startswith(b"data:") and (event := json.loads(line[5:]))["type"].startswith("workflow_"):
                found.append(event)
                if len(found) == count:
                    return found
    return found


# ---- going back ----


def test_undo_redo_and_restore_go_through_the_history(server: ServerProcess) -> None:
    first = create(server, "past", text("Past", "one"))
    second = save(server, "past", text("Past", "two"), first)[1]["digest"]
    assert server.ask("POST", "/api/workflows/past/undo", {"base": second})[1]["digest"] == first
    assert server.ask("POST", "/api/workflows/past/redo", {"base": first})[1]["digest"] == second
    assert kind(server.ask("POST", "/api/workflows/past/redo", {"base": second})) == (404, "no_revision")
    assert kind(server.ask("POST", "/api/workflows/past/undo", {"base": first})) == (409, "stale_revision")
    restored = server.ask("POST", "/api/workflows/past/restore", {"revision": "1", "base": second})
    assert restored[0] == 200
    assert restored[1]["digest"] == first
    assert restored[1]["revision"]["kind"] == "restore"
    assert kind(server.ask("POST", "/api/workflows/past/restore", {"revision": "99", "base": first})) == (404, "no_revision")


def test_a_deleted_workflow_keeps_its_revisions_and_comes_back_by_undo(server: ServerProcess) -> None:
    digest = create(server, "deleted", text("Deleted"))
    before = file_of(server, "deleted").read_bytes()
    assert server.ask("DELETE", f"/api/workflows/deleted?base={digest}")[0] == 204
    assert server.ask("GET", "/api/workflows/deleted")[0] == 404
    history = server.get("/api/workflows/deleted/revisions")
    assert "current" not in history
    assert [row["digest"] for row in history["revisions"]] == [digest]
    assert server.ask("POST", "/api/workflows/deleted/undo", {"base": ""})[0] == 200
    assert file_of(server, "deleted").read_bytes() == before


def test_what_another_program_wrote_is_kept_when_the_file_is_deleted(server: ServerProcess) -> None:
    create(server, "outside_deleted")
    file_of(server, "outside_deleted").write_text(dump_document(parse_document(json.dumps(text("By hand")))))
    digest = server.get("/api/workflows/outside_deleted")["digest"]
    assert server.ask("DELETE", f"/api/workflows/outside_deleted?base={digest}")[0] == 204
    revisions = server.get("/api/workflows/outside_deleted/revisions")["revisions"]
    assert revisions[-1]["digest"] == digest


def test_a_renamed_workflow_takes_its_history_along(server: ServerProcess) -> None:
    first = create(server, "before", text("Name", "one"))
    second = save(server, "before", text("Name", "two"), first)[1]["digest"]
    renamed = server.ask("POST", "/api/workflows/before/rename", {"to": "after", "base": second})
    assert renamed[0] == 200
    assert renamed[1]["digest"] == second
    assert server.ask("GET", "/api/workflows/before")[0] == 404
    assert [row["digest"] for row in server.get("/api/workflows/after/revisions")["revisions"]] == [first, second]
    create(server, "in_the_way")
    assert kind(server.ask("POST", "/api/workflows/after/rename", {"to": "in_the_way", "base": second})) == (409, "exists")


def test_after_a_kill_in_the_middle_of_saving_the_file_is_whole_and_every_answered_save_is_in_the_history(
    new_server: Callable[..., ServerProcess],
) -> None:
    server = new_server().start()
    answered = [create(server, "killed", text("Killed", "0"))]

    def go_on_saving() -> None:
        try:
            for number in range(1, 10_000):
                status, answer = save(server, "killed", text("Killed", str(number)), answered[-1])
                assert status == 200
                answered.append(answer["digest"])
        except (OSError, HTTPException):
            pass  # the server is gone

    saving = threading.Thread(target=go_on_saving)
    saving.start()
    until(lambda: len(answered) > 20)
    server.kill()
    saving.join(30)
    server.start()
    found = server.get("/api/workflows/killed")
    assert int(found["workflow"]["nodes"]["text"]["inputs"]["value"]) in (len(answered) - 1, len(answered))
    digests = [row["digest"] for row in server.get("/api/workflows/killed/revisions")["revisions"]]
    assert digests[: len(answered)] == answered
    assert save(server, "killed", text("Killed", "on"), found["digest"])[0] == 200


# ---- those that come with nodegraph ----


def test_a_shipped_workflow_stays_and_saving_it_makes_an_own_copy(server: ServerProcess) -> None:
    shipped = server.get("/api/workflows/grow")
    assert shipped["shipped"]
    assert shipped["wants"] == []
    assert kind(server.ask("DELETE", f"/api/workflows/grow?base={shipped['digest']}")) == (403, "shipped")
    assert kind(server.ask("POST", "/api/workflows/grow/rename", {"to": "mine", "base": shipped["digest"]})) == (403, "shipped")
    workflow = {**shipped["workflow"], "title": "My own"}
    saved = save(server, "grow", workflow, shipped["digest"])
    assert saved[0] == 200, saved
    found = server.get("/api/workflows/grow")
    assert (found["shipped"], found["workflow"]["title"]) == (False, "My own")
    assert server.ask("DELETE", f"/api/workflows/grow?base={found['digest']}")[0] == 204
    assert server.get("/api/workflows/grow")["digest"] == shipped["digest"]


def test_the_list_has_all_workflows_by_id_in_pages_and_finds_words(server: ServerProcess) -> None:
    create(server, "zebra", text("Stripes", description="An animal of the savanna."))
    found, cursor = list[Any](), ""
    while True:
        page = server.get(f"/api/workflows?limit=2{cursor}")
        found += page["workflows"]
        if "next" not in page:
            break
        cursor = f"&cursor={page['next']}"
    ids = [row["id"] for row in found]
    assert ids == sorted(set(ids))
    assert {"zebra", "text_to_image"} <= set(ids)
    row = server.get("/api/workflows?text=SAVANNA%20stripes")["workflows"]
    assert [(item["id"], item["title"], item["nodes"], item["shipped"]) for item in row] == [("zebra", "Stripes", 1, False)]
    assert server.get("/api/workflows?text=savanna%20nowhere")["workflows"] == []


def test_a_workflow_that_has_not_changed_is_not_sent_again(server: ServerProcess) -> None:
    digest = create(server, "cached")
    tag = {"If-None-Match": f'W/"other", "{digest}"'}
    assert server.ask("GET", "/api/workflows/cached", headers=tag) == (304, b"")
    save(server, "cached", text("Changed"), digest)
    assert server.ask("GET", "/api/workflows/cached", headers=tag)[0] == 200


# ---- ids and paths ----


@pytest.mark.parametrize(
    "id_", ["..", ".hidden", "%2e%2e", "..%2f..%2fjobs", "a%2fb", "a%00b", "a%0a", "x" * 101, "%ff", "a%20b"]
)
def test_no_id_leads_out_of_the_folder(server: ServerProcess, id_: str) -> None:
    for method, tail in (("GET", ""), ("PUT", ""), ("DELETE", "?base="), ("GET", "/revisions"), ("GET", "/draft")):
        body = {"workflow": text("x"), "base": ""} if method == "PUT" else None
        assert server.ask(method, f"/api/workflows/{id_}{tail}", body)[0] in (400, 404, 405)
    assert kind(server.ask("POST", "/api/workflows", {"workflow": text("x"), "id": "../x"})) == (422, "bad_request")


def test_links_out_of_the_folder_are_neither_read_nor_written(server: ServerProcess, tmp_path: Path) -> None:
    create(server, "neighbour")
    outside = tmp_path / "outside.json"
    outside.write_text(dump_document(parse_document(json.dumps(text("Outside")))))
    before = outside.read_bytes()
    for name, target in (("link", outside), ("dangling", tmp_path / "new.json"), ("circle", file_of(server, "circle"))):
        file_of(server, name).symlink_to(target)
        assert server.ask("GET", f"/api/workflows/{name}")[0] == 404
        assert kind(save(server, name, text("x"), "")) == (403, "is_link")
        assert server.ask("DELETE", f"/api/workflows/{name}?base=")[0] == 403
        assert name not in {row["id"] for row in server.get("/api/workflows")["workflows"]}
    assert outside.read_bytes() == before
    assert not (tmp_path / "new.json").exists()


def test_what_lies_there_and_is_no_workflow_is_told_and_does_not_hide_the_others(server: ServerProcess) -> None:
    create(server, "fine")
    file_of(server, "broken").write_text("{ not json")
    refused = server.ask("GET", "/api/workflows/broken")
    assert kind(refused) == (422, "invalid_workflow")
    assert str(server.data) not in json.dumps(refused[1])
    rows = {row["id"]: row for row in server.get("/api/workflows")["workflows"]}
    assert "fine" in rows
    assert "nodes" not in rows["broken"]


# ---- consent ----


def test_what_is_accepted_is_remembered_exactly_and_lets_the_workflow_run(server: ServerProcess) -> None:
    create(server, "wanting", chain(["accepted"]))
    wants = server.get("/api/workflows/wanting")["wants"]
    assert [(row["kind"], row["name"]) for row in wants] == [("pack", "busy")]
    assert server.ask("POST", "/api/jobs", {"workflow_id": "wanting"})[0] == 403
    strange = server.ask("POST", "/api/workflows/wanting/accept", {"wants": [*BUSY, {"kind": "secret", "name": "key"}]})
    assert kind(strange) == (422, "not_wanted")
    assert server.get("/api/workflows/wanting")["wants"] == wants
    assert server.ask("POST", "/api/workflows/wanting/accept", {"wants": BUSY}) == (200, {"wants": []})
    assert server.get("/api/workflows/wanting")["wants"] == []
    status, job = server.ask("POST", "/api/jobs", {"workflow_id": "wanting"})
    assert status == 202
    assert server.wait(job["id"])["state"] == "succeeded"


# ---- drafts ----


def test_drafts_survive_a_killed_server(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server().start()
    work = {"nodes": {}, "title": "Unsaved", "anything": [None, {"a": 1}]}
    assert server.ask("PUT", "/api/drafts/tab-1", {"workflow": work})[0] == 200
    server.ask("PUT", "/api/workflows/grow/draft", {"workflow": text("Grow more"), "base": "0" * 64})
    server.kill()
    server.start()
    drafts = {row["id"]: row for row in server.get("/api/drafts")["drafts"]}
    assert set(drafts) == {"tab-1", "workflow:grow"}
    assert (drafts["workflow:grow"]["workflow_id"], drafts["workflow:grow"]["base"]) == ("grow", "0" * 64)
    assert server.get("/api/drafts/tab-1")["workflow"] == work
    assert server.get("/api/workflows/grow/draft")["workflow"]["title"] == "Grow more"


def test_a_draft_is_kept_as_it_came_whatever_it_is(server: ServerProcess) -> None:
    odd = {"nodes": "not even a workflow", "big": 10**400, "deep": [[[[{}]]]]}
    assert server.ask("PUT", "/api/drafts/odd", {"workflow": odd})[0] == 200
    assert server.get("/api/drafts/odd")["workflow"] == odd


def test_a_draft_that_was_thrown_away_can_still_be_had(server: ServerProcess) -> None:
    server.ask("PUT", "/api/drafts/thrown", {"workflow": text("Thrown")})
    assert server.ask("DELETE", "/api/drafts/thrown")[0] == 204
    assert server.ask("DELETE", "/api/drafts/thrown")[0] == 404
    assert "thrown" not in {row["id"] for row in server.get("/api/drafts")["drafts"]}
    assert "thrown" in {row["id"] for row in server.get("/api/drafts?deleted=true")["drafts"]}
    found = server.get("/api/drafts/thrown")
    assert found["deleted"]
    assert found["workflow"]["title"] == "Thrown"


# ---- disks ----


def test_a_folder_that_may_not_be_written_gives_403_and_the_file_stays(new_server: Callable[..., ServerProcess]) -> None:
    own = new_server()
    with small_disk(own.data / "workflows", 1024) as disk, own as running:
        digest = create(running, "locked")
        before = file_of(running, "locked").read_bytes()
        make_read_only(disk)
        refused = [
            save(running, "locked", text("x"), digest),
            running.ask("DELETE", f"/api/workflows/locked?base={digest}"),
            running.ask("POST", "/api/workflows/locked/rename", {"to": "other", "base": digest}),
        ]
        assert file_of(running, "locked").read_bytes() == before
    assert [kind(answer) for answer in refused] == [(403, "read_only")] * 3
    assert all(str(own.data) not in json.dumps(answer[1]) for answer in refused)


def test_the_server_has_mapped_no_torch_and_no_pack_after_all_of_this(server: ServerProcess) -> None:
    server.get("/api/workflows/text_to_image")
    server.ask("POST", "/api/workflows/validate", {"workflow": text("x")})
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    mapped = maps.read_text()
    assert "libtorch" not in mapped
    assert "numpy" not in mapped


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit")
def test_a_full_disk_gives_507_and_leaves_the_file_and_the_server_takes_saves_again(
    new_server: Callable[..., ServerProcess],
) -> None:
    server = new_server().start()
    digest = create(server, "full", text("Full", "x" * 5000))
    before = file_of(server, "full").read_bytes()
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        refused = save(server, "full", text("Full", "y" * 5000), digest)
        draft = server.ask("PUT", "/api/drafts/full", {"workflow": text("Full", "y" * 5000)})
        assert server.get("/api/workflows/full")["digest"] == digest
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert kind(refused) == (507, "no_room")
    assert draft[0] == 507
    assert str(server.data) not in json.dumps(refused[1])
    assert file_of(server, "full").read_bytes() == before
    assert not list(file_of(server, "full").parent.glob(".*"))
    assert save(server, "full", text("Full", "y" * 5000), digest)[0] == 200
    assert server.ask("PUT", "/api/drafts/full", {"workflow": text("Full")})[0] == 200


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (errno.ENOSPC, 507, "no_room"),
        (errno.EDQUOT, 507, "no_room"),
        (errno.EROFS, 403, "read_only"),
        (errno.EACCES, 403, "read_only"),
        (errno.EIO, 507, "not_written"),
    ],
)
def test_what_a_disk_refuses_is_told_by_its_reason(number: int, status: int, word: str) -> None:
    refused = not_written(OSError(number, os.strerror(number), "/home/somebody/file"), "grow")
    assert (refused.status, refused.details.type) == (status, f"nodegraph:{word}")
    assert "somebody" not in refused.details.model_dump_json()
