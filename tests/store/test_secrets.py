"""Secrets: where they lie, who may read them, and that their values are in nothing that leaves the process."""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from nodegraph import Artifact, Lazy, NodeError, Pack, RunFailed, Secret, Session, node
from nodegraph.api import Workflow
from nodegraph.artifacts import extract
from nodegraph.engine import Engine
from nodegraph.engine import events as ev
from nodegraph.graph import Document
from nodegraph.graph.values import shown
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.values import SecretError
from nodegraph.sdk.writing import NotWritten
from nodegraph.store import system_keyring
from nodegraph.store.redaction import redacted
from nodegraph.store.secrets import Secrets

VALUE = "sesame-open-yourself"


class MemoryKeyring(KeyringBackend):
    """A keyring that lives as long as the test; never one that the system would recommend."""

    priority = 0.5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.asked: list[str] = []

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append(username)
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError(username)


class Forgetful(MemoryKeyring):
    """As the null backend: takes anything, keeps nothing."""

    priority = 0.5

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class Locked(MemoryKeyring):
    """Gives nothing, and says too much."""

    priority = 0.5

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(f"cannot keep {password}")

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("locked")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "secrets.json"


def kept_in_file(file: Path, environment: dict[str, str] | None = None) -> Secrets:
    return Secrets(file, environment or {}, lambda: None)


def every_text_of(error: BaseException) -> str:
    """All that an exception tells, and all that those behind it hold, with the locals of our frames."""
    texts = traceback.format_exception(error)
    seen: BaseException | None = error
    while seen is not None:
        frames = [frame for frame, _ in traceback.walk_tb(seen.__traceback__) if "/tests/" not in frame.f_code.co_filename]
        texts += [repr(seen), str(seen), repr(vars(seen)), repr(seen.args), *(repr(frame.f_locals) for frame in frames)]
        seen = seen.__context__
    return "\n".join(texts)


# ---- where they lie ----


def test_where_there_is_no_keyring_a_secret_lies_in_a_file_that_nobody_else_may_read(file: Path) -> None:
    before = os.umask(0)
    try:
        assert kept_in_file(file).set("hub", VALUE) == "file"
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept_in_file(file).reveal("HUB") == VALUE
    assert kept_in_file(file).reveal("hub") == VALUE


def test_at_no_moment_can_others_read_what_is_being_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    flush = os.fsync

    def looking(handle: int) -> None:
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir() if path.stat().st_size)
        flush(handle)

    monkeypatch.setattr("nodegraph.sdk.writing.os.fsync", looking)
    before = os.umask(0)
    try:
        kept_in_file(file).set("hub", VALUE)
        kept_in_file(file).set("hub", VALUE * 2)
    finally:
        os.umask(before)
    assert seen
    assert set(seen) == {0o600}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_file_that_others_may_read_is_refused_with_what_to_do(file: Path, mode: int) -> None:
    kept_in_file(file).set("hub", VALUE)
    file.chmod(mode)
    before = file.read_bytes()
    secrets = kept_in_file(file)
    for ask in (lambda: secrets.reveal("hub"), lambda: secrets.set("hub", "x"), lambda: secrets.remove("hub"), secrets.names):
        with pytest.raises(SecretError) as caught:
            ask()
        assert "chmod 600 secrets.json" in str(caught.value.hint)
        assert VALUE not in every_text_of(caught.value)
    assert file.read_bytes() == before
    file.chmod(0o600)
    assert secrets.reveal("hub") == VALUE


@pytest.mark.parametrize("ring", [Forgetful, Locked])
def test_a_keyring_that_does_not_keep_secrets_is_passed_over(file: Path, ring: type[MemoryKeyring]) -> None:
    secrets = Secrets(file, {}, ring)
    assert secrets.set("hub", VALUE) == "file"
    assert secrets.reveal("hub") == VALUE
    assert secrets.names() == {"HUB": ("file",)}


def test_a_keyring_holds_the_value_and_the_file_only_the_name(file: Path) -> None:
    ring = MemoryKeyring()
    secrets = Secrets(file, {}, lambda: ring)
    assert secrets.set("hub", VALUE) == "keyring"
    assert VALUE not in file.read_text()
    assert secrets.names() == {"HUB": ("keyring",)}
    assert Secrets(file, {}, lambda: ring).reveal("Hub") == VALUE
    assert secrets.remove("hub") == "keyring"
    assert ring.kept == {}
    assert secrets.names() == {}


def test_two_data_folders_do_not_share_what_they_keep_in_one_keyring(tmp_path: Path) -> None:
    ring = MemoryKeyring()
    one, two = (Secrets(tmp_path / name / "secrets.json", {}, lambda: ring) for name in ("one", "two"))
    one.set("hub", "first-value")
    two.set("hub", "second-value")
    assert (one.reveal("hub"), two.reveal("hub")) == ("first-value", "second-value")


def test_the_keyring_is_asked_for_no_name_that_was_not_put_there(file: Path) -> None:
    ring = MemoryKeyring()
    secrets = Secrets(file, {}, lambda: ring)
    secrets.set("hub", VALUE)
    ring.asked.clear()
    with pytest.raises(SecretError):
        secrets.reveal("other")
    secrets.names()
    secrets.readable()
    assert ring.asked == []


def test_a_secret_moves_when_it_is_set_again_elsewhere(file: Path) -> None:
    ring = MemoryKeyring()
    kept_in_file(file).set("hub", "in-the-file")
    assert Secrets(file, {}, lambda: ring).set("hub", "in-the-keyring") == "keyring"
    assert "in-the-file" not in file.read_text()
    assert kept_in_file(file).set("hub", "back-again") == "file"
    assert kept_in_file(file).names() == {"HUB": ("file",)}


def test_a_keyring_that_is_gone_or_locked_is_named_with_what_to_do(file: Path) -> None:
    ring, locked = MemoryKeyring(), Locked()
    Secrets(file, {}, lambda: ring).set("hub", VALUE)
    for there in (None, locked, MemoryKeyring()):
        with pytest.raises(SecretError, match="keyring, which does not give it") as caught:
            Secrets(file, {}, lambda ring=there: ring).reveal("hub")  # type: ignore[misc]
        assert "NODEGRAPH_SECRET_HUB" in str(caught.value.hint)
    with pytest.raises(SecretError, match="does not let go"):
        Secrets(file, {}, lambda: locked).remove("hub")
    assert kept_in_file(file).names() == {"HUB": ("keyring",)}


def test_a_keyring_that_does_not_answer_is_given_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    class Hanging(MemoryKeyring):
        priority = 0.5

        def set_password(self, service: str, username: str, password: str) -> None:
            over.wait(60)

    for name in ("_ANSWERING_SECONDS", "_UNSEEN_SECONDS"):
        monkeypatch.setattr(system_keyring, name, 0.05)
    try:
        assert Secrets(file, {}, Hanging).set("hub", VALUE) == "file"
    finally:
        over.set()


KEPT_KEYRING = """
import json, pathlib
from keyring.backend import KeyringBackend

class Kept(KeyringBackend):
    priority = 5
    file = pathlib.Path(__file__).with_suffix(".json")

    def rows(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def get_password(self, service, username):
        return self.rows().get(username)

    def set_password(self, service, username, password):
        self.file.write_text(json.dumps({**self.rows(), username: password}))

    def delete_password(self, service, username):
        self.file.write_text(json.dumps({name: text for name, text in self.rows().items() if name != username}))
"""


@pytest.mark.parametrize(
    ("backend", "found"),
    [
        ("keyring.backends.fail.Keyring", False),
        ("keyring.backends.null.Keyring", False),
        ("kept_keyring.Kept", True),
        ("", False),
    ],
)
def test_only_a_keyring_that_works_counts(tmp_path: Path, backend: str, found: bool) -> None:
    (tmp_path / "kept_keyring.py").write_text(KEPT_KEYRING)
    hidden = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "PYTHON_KEYRING_BACKEND")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}
    if backend:
        environment["PYTHON_KEYRING_BACKEND"] = backend
    elif not sys.platform.startswith("linux"):
        pytest.skip("the system has a keyring of its own")
    code = "from nodegraph.store.system_keyring import working_keyring as w; print(w() is not None)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(found)


def test_the_store_does_not_load_the_keyrings_before_they_are_needed() -> None:
    code = "import sys, nodegraph.store.secrets; print('keyring' in sys.modules, 'torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).split() == ["False", "False"]


def test_the_environment_counts_before_any_other_place(file: Path) -> None:
    environment = {"NODEGRAPH_SECRET_HUB": "of-the-environment"}
    secrets = kept_in_file(file, environment)
    secrets.set("hub", VALUE)
    assert secrets.reveal("hub") == "of-the-environment"
    assert secrets.names() == {"HUB": ("environment", "file")}
    assert secrets.remove("hub") == "file"
    assert secrets.names() == {"HUB": ("environment",)}
    environment.clear()
    with pytest.raises(SecretError, match=r"nodegraph secret set HUB.*NODEGRAPH_SECRET_HUB"):
        secrets.reveal("hub")


def test_without_a_data_folder_the_environment_is_all_there_is() -> None:
    secrets = Secrets(None, {"NODEGRAPH_SECRET_HUB": VALUE}, MemoryKeyring)
    assert secrets.reveal("hub") == VALUE
    with pytest.raises(LookupError, match="Set the environment variable NODEGRAPH_SECRET_OTHER"):
        secrets.reveal("other")
    with pytest.raises(SecretError, match="no data folder"):
        secrets.set("hub", VALUE)


def test_what_is_no_name_is_refused_and_not_repeated(file: Path) -> None:
    token = "sk-live-51H8x/very=secret"
    secrets = kept_in_file(file)
    for ask in (lambda: secrets.set(token, VALUE), lambda: secrets.remove(token), lambda: secrets.reveal(token)):
        with pytest.raises(SecretError) as caught:
            ask()
        assert token not in f"{caught.value} {caught.value.hint}"
    with pytest.raises(SecretError) as caught:
        Secret(token).reveal()
    assert token not in f"{caught.value} {caught.value.hint} {Secret(token)!r} {Secret(token)}"
    assert not file.exists()


@pytest.mark.parametrize("value", ["", "a\0b", "x" * 70_000])
def test_what_is_no_value_is_refused(file: Path, value: str) -> None:
    with pytest.raises(SecretError, match="1 to"):
        kept_in_file(file).set("hub", value)
    assert not file.exists()


@pytest.mark.parametrize(
    "text", [f'{{"secrets": {{"HUB": "{VALUE}"', f'["{VALUE}"]', f'{{"secrets": {{"HUB": ["{VALUE}"]}}, "keyring": {{}}}}', ""]
)
def test_a_damaged_file_is_refused_and_nothing_of_it_is_told(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(SecretError, match="damaged") as caught:
        kept_in_file(file).reveal("hub")
    assert VALUE not in every_text_of(caught.value)
    assert kept_in_file(file).readable() == {}
    with pytest.raises(SecretError, match="damaged"):
        kept_in_file(file).set("hub", "other")
    assert file.read_text() == text


def test_a_folder_that_cannot_be_written_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, no folder")
    with pytest.raises(NotWritten):
        kept_in_file(tmp_path / "data" / "secrets.json").set("hub", VALUE)


def test_what_several_set_at_once_is_all_kept(file: Path) -> None:
    def keep(who: int) -> None:
        for i in range(6):
            kept_in_file(file).set(f"who_{who}_{i}", f"value {who} {i}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, range(4)))
    secrets = kept_in_file(file)
    assert {name: secrets.reveal(name) for name in secrets.names()} == {
        f"WHO_{who}_{i}": f"value {who} {i}" for who in range(4) for i in range(6)
    }
    assert [path.name for path in file.parent.iterdir() if path.name.endswith(".saving")] == []


def test_nothing_that_is_shown_of_a_store_holds_a_value(file: Path) -> None:
    secrets = kept_in_file(file, {"NODEGRAPH_SECRET_OTHER": "another-value"})
    secrets.set("hub", VALUE)
    secret = Secret.granted("hub", secrets.reveal)
    secret.reveal()
    told = f"{secrets} {secrets!r} {secret} {secret!r} {secrets.names()}"
    assert VALUE not in told
    assert "another-value" not in told


# ---- a secret in a node's hands ----


def test_a_granted_secret_gives_its_own_value_and_no_other(file: Path) -> None:
    secrets = kept_in_file(file)
    secrets.set("hub", VALUE)
    secrets.set("other", "another-value")
    granted = Secret.granted("hub", secrets.reveal)
    assert granted.reveal() == VALUE
    assert granted == Secret("hub")
    assert hash(granted) == hash(Secret("hub"))
    assert copy.deepcopy([granted])[0].reveal() == copy.copy(granted).reveal() == VALUE
    with pytest.raises(AttributeError):
        granted.name = "other"  # type: ignore[misc]
    with pytest.raises(LookupError):
        Secret("other").reveal()
    with pytest.raises(LookupError):
        pickle.loads(pickle.dumps(granted)).reveal()


revealed_before: list[str] = []


@node()
def knock(token: Secret, how: str) -> str:
    value = token.reveal()
    revealed_before.append(value)
    match how:
        case "opens":
            return "open"
        case "refused":
            raise NodeError(f"The key {value} is not accepted.", expected=value, got=value, hint=f"Not {value}.")
        case "cause":
            try:
                raise KeyError(value)
            except KeyError as error:
                raise ConnectionError("no answer") from error
        case "group":
            raise ExceptionGroup("several", [ValueError(value), OSError(base64.b64encode(f"me:{value}".encode()).decode())])
        case "long":
            raise ValueError("x" * (1000 - len("s/knock failed: ValueError: ") - len(value) // 2) + value + "y" * 2000)
    raise ConnectionError(f"GET https://hub?key={quote(value)} gave 403, with {value!r}")


@node()
def tell_of_another(text: str) -> str:
    raise ValueError(f"it was {revealed_before[-1]}, {text}")


@node()
def knock_all(tokens: list[Secret], last: Secret | None = None) -> str:
    assert [token.reveal() for token in tokens] == [VALUE, "another-value"]
    assert last is None or last.reveal() == VALUE
    return "open"


@node()
async def knock_late(token: Lazy[Secret]) -> str:
    raise ValueError((await token).reveal())


@node(output_name="token")
def choose(name: str) -> Secret:
    return name  # type: ignore[return-value]  # a secret's JSON form, as it travels along links


@node(cache="never")
def reach(token: Secret) -> str:
    try:
        return Secret("other").reveal()
    except LookupError:
        return f"{token.name} alone"


PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


@node(output=True, output_name="file")
def draw(token: Secret, note: str) -> Artifact:
    return Artifact(PNG, "image/png", "drawn")


@pytest.fixture
def session(tmp_path: Path) -> Any:
    pack = Pack.of("s", [knock, tell_of_another, knock_all, knock_late, choose, reach, draw])
    with Session(tmp_path / "data", packs=[pack]) as opened:
        opened.secrets = Secrets(tmp_path / "data" / "secrets.json", keyring=lambda: None)
        opened.secrets.set("hub", VALUE)
        opened.secrets.set("other", "another-value")
        yield opened


def workflow(session: Session, kind: str, **inputs: Any) -> Workflow:
    nodes = {"n": {"type": f"s/{kind}", "inputs": inputs}}
    output = session.catalog.nodes[f"s/{kind}"].outputs[0].name
    source = {"nodegraph": 1, "nodes": nodes, "interface": {"outputs": {"out": f"n.{output}"}}}
    return Workflow(Document.model_validate(source), session)


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "secrets.json")


@pytest.mark.parametrize("how", ["says", "refused", "cause", "group", "long"])
def test_a_node_that_tells_a_secret_in_its_failure_tells_it_to_nobody(session: Session, how: str) -> None:
    events: list[Any] = []
    with pytest.raises(RunFailed) as caught:
        workflow(session, "knock", token="hub", how=how).run(listener=events.append)
    result = caught.value.result
    (failed,) = [event for event in events if isinstance(event, ev.NodeFailed)]
    told = "".join(
        (repr(events), str(failed.problem), failed.trace, repr(result.run.problems), repr(result.nodes), str(caught.value))
    )
    session.close()
    for part in (VALUE, VALUE[: len(VALUE) // 2], VALUE[len(VALUE) // 2 :], base64.b64encode(VALUE.encode()).decode()[4:-4]):
        assert part not in told
        assert part.encode() not in every_byte(session.data)
    assert "[secret HUB]" in str(failed.problem) + failed.trace


def test_also_a_node_that_was_not_given_the_secret_cannot_tell_it(session: Session) -> None:
    workflow(session, "knock", token="hub", how="opens").run()
    with pytest.raises(RunFailed) as caught:
        workflow(session, "tell_of_another", text="really").run()
    (problem,) = caught.value.result.run.problems
    assert problem.message == "s/tell_of_another failed: ValueError: it was [secret HUB], really"


@pytest.mark.parametrize("linked", [False, True])
def test_a_lazy_secret_is_read_from_the_store_and_not_told(session: Session, linked: bool) -> None:
    flow = workflow(session, "knock_late", token="hub")
    if linked:
        nodes = {
            "c": {"type": "s/choose", "inputs": {"name": "hub"}},
            "n": {"type": "s/knock_late", "links": {"token": "c.token"}},
        }
        interface = {"outputs": {"out": "n.value"}}
        flow = Workflow(Document.model_validate({"nodegraph": 1, "nodes": nodes, "interface": interface}), session)
    with pytest.raises(RunFailed) as caught:
        flow.run()
    (problem,) = caught.value.result.run.problems
    assert problem.message == "s/knock_late failed: ValueError: [secret HUB]"


def test_secrets_in_lists_and_optional_ones_are_read_from_the_store(session: Session) -> None:
    assert workflow(session, "knock_all", tokens=["hub", "other"], last="hub").run()["out"] == "open"
    assert workflow(session, "knock_all", tokens=["HUB", "other"]).run()["out"] == "open"


def test_a_node_reads_the_secret_that_it_was_given_and_no_other(session: Session) -> None:
    assert workflow(session, "reach", token="hub").run()["out"] == "hub alone"


def test_a_secret_that_is_not_set_is_the_users_to_set_and_no_fault_in_the_node(session: Session) -> None:
    with pytest.raises(RunFailed) as caught:
        workflow(session, "knock", token="nowhere", how="says").run()
    (problem,) = caught.value.result.run.problems
    assert problem.code == "node_failed"
    assert "nodegraph secret set NOWHERE" in problem.message


def test_a_secret_that_is_set_while_a_session_is_open_is_found(session: Session) -> None:
    with pytest.raises(RunFailed):
        workflow(session, "knock", token="late", how="opens").run()
    kept_in_file(session.data / "secrets.json").set("late", "late-value")
    assert workflow(session, "knock", token="late", how="opens").run()["out"] == "open"


def test_a_stored_secrets_value_is_in_no_picture(session: Session, tmp_path: Path) -> None:
    result = workflow(session, "draw", token="hub", note=f"it is {VALUE}").run(out=tmp_path / "out")
    data = Path(result.files["out"][0]["path"]).read_bytes()
    texts = extract(data)
    assert VALUE.encode() not in data
    assert json.loads(texts["workflow"])["nodes"]["n"]["inputs"] == {"note": "it is (a secret)", "token": "hub"}


async def test_an_engine_without_a_store_reads_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NODEGRAPH_SECRET_HUB", VALUE)
    with Session(tmp_path, packs=[Pack.of("s", [knock])]) as session:
        plan = session.compile(workflow(session, "knock", token="hub", how="opens").document)
        async with Engine(session.library) as engine:
            result = await engine.run(plan)
    assert [output.value for output in result.outputs] == ["open"]


# ---- texts without them ----

VALUES = st.text(st.characters(codec="utf-8", exclude_characters="[]\0"), min_size=6, max_size=60).map(str.strip)
WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": lambda value: repr(value)[1:-1],
    "ascii": lambda value: ascii(value)[1:-1],
    "bytes": lambda value: repr(value.encode())[2:-1],
    "json": lambda value: json.dumps(value)[1:-1],
    "quoted": quote,
    "quoted all": lambda value: quote(value, safe=""),
    "form": quote_plus,
}


@given(value=VALUES, before=st.text(max_size=20), after=st.text(max_size=20), how=st.sampled_from(sorted(WRITTEN)))
def test_however_a_value_is_written_it_is_taken_out(value: str, before: str, after: str, how: str) -> None:
    assume(len(value) >= 6)
    form = WRITTEN[how](value)
    assume(form not in "[secret HUB]")
    found = redacted(f"{before}{form}{after}", {value: "HUB"})
    assert form not in found
    assert "[secret HUB]" in found


@given(st.binary(max_size=4), st.binary(max_size=4), st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
def test_inside_base64_no_more_than_its_ends_are_left(before: bytes, after: bytes, encode: Any) -> None:
    value = "ghp_16C7e42F292c6912E7"
    found = redacted(encode(before + value.encode() + after).decode(), {value: "HUB"})
    assert "[secret HUB]" in found
    assert len(found.replace("[secret HUB]", "")) <= 4 * (len(before) + len(after)) / 3 + 8


@given(st.text())
def test_a_text_without_the_values_stays_as_it_is(text: str) -> None:
    assert redacted(text, {}) == text
    assert redacted(text, {"\N{SNOWMAN}" * 8: "HUB"}) == text


@given(offset=st.integers(0, 2600), length=st.integers(8, 80))
def test_of_a_value_at_a_cut_no_more_than_three_characters_are_left(offset: int, length: int) -> None:
    value = "".join(chr(0x4E00 + i) for i in range(length))
    problem = Problem("p", "." * offset + value + "." * 2600)
    found = redacted(problem.message, {value: "HUB"})
    assert sum(char in value for char in found) <= 3
    brief = redacted(shown("." * (offset % 60) + value + "." * 60), {value: "HUB"})
    assert sum(char in value for char in brief) <= 3


def test_a_short_value_is_taken_out_where_it_stands_alone() -> None:
    assert redacted("pin 1234: 12345 of 1234", {"1234": "PIN"}) == "pin [secret PIN]: 12345 of [secret PIN]"


def test_the_longer_of_two_values_counts() -> None:
    assert redacted("abcdefgh", {"abcdef": "A", "abcdefgh": "B"}) == "[secret B]"


def test_the_lines_of_a_long_value_are_known_by_themselves() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
    shown_in_a_trace = "\n".join(f"  | {line}" for line in key.splitlines())
    assert "MIIE" not in redacted(shown_in_a_trace, {key: "KEY"})
    assert "AQEF" not in redacted(shown_in_a_trace, {key: "KEY"})
