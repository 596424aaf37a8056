"""Settings: which source wins, that everything wrong is said at once with its place, that nothing opens to strangers."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nodegraph.sdk.errors import Problem
from nodegraph.settings import BadSettings, Server, Settings, is_loopback, load_settings, read_settings
from nodegraph.settings.fields import known_settings, value_of

LONG_TOKEN = "a-token-of-many-characters"


def config(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    return file


def load(folder: Path, text: str = "", flags: dict[str, Any] | None = None, **environ: str) -> Settings:
    """With a data folder whose file holds `text`."""
    config(folder, text)
    return load_settings({"data": folder, **(flags or {})}, None, environ)


def problems(folder: Path, text: str = "", flags: dict[str, Any] | None = None, **environ: str) -> tuple[Problem, ...]:
    with pytest.raises(BadSettings) as caught:
        load(folder, text, flags, **environ)
    return caught.value.problems


def outcome(flags: dict[str, Any], environ: dict[str, str]) -> tuple[Problem, ...] | Settings:
    try:
        return load_settings(flags, None, environ)
    except BadSettings as error:
        return error.problems


# ---- which source wins ----


def test_without_anything_the_defaults_count(tmp_path: Path) -> None:
    found = load_settings({}, None, {"NODEGRAPH_DATA": str(tmp_path)})
    assert found == Settings(data=tmp_path)
    assert (found.server.host, found.server.port, found.server.auth) == ("127.0.0.1", 8188, True)
    assert (found.workers.count, found.jobs.keep_bytes, found.webhooks.hosts) == ("auto", 20 << 30, [])


def test_flags_are_stronger_than_the_environment_than_the_file(tmp_path: Path) -> None:
    text = "[server]\nport = 1\nmax_connections = 11\nshutdown_seconds = 111\n"
    environ = {"NODEGRAPH_SERVER__PORT": "2", "NODEGRAPH_SERVER__MAX_CONNECTIONS": "22"}
    config(tmp_path, text)
    loaded = read_settings({"data": tmp_path, "server.port": 3}, None, environ)
    server = loaded.settings.server
    assert (server.port, server.max_connections, server.shutdown_seconds, server.host) == (3, 22, 111, "127.0.0.1")
    places = [loaded.sources[f"server.{name}"] for name in ("port", "max_connections", "shutdown_seconds", "host")]
    assert [tuple(place) for place in places] == [
        ("flag", "--port"),
        ("environment", "NODEGRAPH_SERVER__MAX_CONNECTIONS"),
        ("file", str(tmp_path / "config.toml")),
        ("default", ""),
    ]


def test_a_flag_that_was_not_given_leaves_the_other_sources_alone(tmp_path: Path) -> None:
    flags = {"server.port": None, "models": []}
    found = load(tmp_path, 'models = ["/m"]\n[server]\nport = 1', flags)
    assert (found.server.port, found.models) == (1, [Path("/m")])


def test_another_file_is_read_instead_of_the_data_folders(tmp_path: Path) -> None:
    config(tmp_path, "[server]\nport = 1")
    other = tmp_path / "other.toml"
    other.write_text("[workers]\nnice = 7")
    found = load_settings({"data": tmp_path}, other, {})
    assert (found.server.port, found.workers.nice) == (8188, 7)


def test_the_data_folder_comes_from_the_flag_then_the_variable(tmp_path: Path) -> None:
    environ = {"NODEGRAPH_DATA": str(tmp_path / "a")}
    assert load_settings({"data": tmp_path / "b"}, None, environ).data == tmp_path / "b"
    assert load_settings({"data": None}, None, environ).data == tmp_path / "a"
    assert load_settings({}, None, {"NODEGRAPH_DATA": ""}).data.is_absolute()


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("SERVER__AUTH", "off", "server.auth", False),
        ("WORKERS__EXACT", "1", "workers.exact", True),
        ("WORKERS__COUNT", "4", "workers.count", 4),
        ("WORKERS__COUNT", "auto", "workers.count", "auto"),
        ("WORKERS__MEMORY_BYTES", "16 GiB", "workers.memory_bytes", 16 << 30),
        ("WORKERS__MEMORY_BYTES", "none", "workers.memory_bytes", None),
        ("SERVER__ALLOWED_HOSTS", "Art.Example.org, 10.0.0.7", "server.allowed_hosts", ["art.example.org", "10.0.0.7"]),
        ("SERVER__ALLOWED_HOSTS", '["a.b"]', "server.allowed_hosts", ["a.b"]),
        ("SERVER__ALLOWED_HOSTS", "[::1]", "server.allowed_hosts", None),
        ("SERVER__PORT", " 0 ", "server.port", 0),
        ("SERVER__PORT", "", "server.port", 8188),
        ("MODELS", os.pathsep.join(["/a,b", "/c"]), "models", [Path("/a,b"), Path("/c")]),
        ("LOG__LEVEL", "debug", "log.level", "debug"),
    ],
)
def test_variables_are_read_as_people_write_them(tmp_path: Path, variable: str, text: str, key: str, value: Any) -> None:
    if key == "server.allowed_hosts" and value is None:  # looks like JSON and is none: refused, not guessed
        assert len(problems(tmp_path, **{f"NODEGRAPH_{variable}": text})) == 1
        return
    assert value_of(load(tmp_path, **{f"NODEGRAPH_{variable}": text}), key) == value


def test_paths_in_the_file_start_beside_it_and_others_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    found = load(tmp_path / "data", 'models = ["m", "~/n", "/o"]', {"files": ["here"]})
    assert found.models == [tmp_path / "data/m", Path("/home/me/n"), Path("/o")]
    assert found.files == [tmp_path / "here"]


def test_nothing_is_interpolated(tmp_path: Path) -> None:
    found = load(tmp_path, 'models = ["/${HOME}/$USER/%(x)s"]', NODEGRAPH_FILES="/$(id)")
    assert found.models == [Path("/${HOME}/$USER/%(x)s")]
    assert found.files == [Path("/$(id)")]


def test_settings_do_not_change() -> None:
    found = Settings(data=Path("/x"))
    with pytest.raises(ValidationError):
        found.server.port = 1  # type: ignore[misc]


# ---- what is wrong ----


def test_everything_that_is_wrong_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    text = 'prot = 1\n[server]\nprot = 2\nmax_connections = "many"\n[sevrer]\n[workers]\nnice = 1979-05-27\n'
    environ = {"NODEGRAPH_SERVER__PRT": "1", "NODEGRAPH_LOG__LEVEL": "loud"}
    found = problems(tmp_path, text, {"server.port": 99999}, **environ)
    file = tmp_path / "config.toml"
    assert [(p.code, p.message) for p in found] == [
        ("wrong_setting", "--port has a wrong value."),
        ("wrong_setting", "NODEGRAPH_LOG__LEVEL has a wrong value."),
        ("unknown_setting", "The environment variable NODEGRAPH_SERVER__PRT is no setting."),
        ("unknown_setting", f"{file}: prot is no setting."),
        ("unknown_setting", f"{file}: server.prot is no setting."),
        ("wrong_setting", f"{file}: server.max_connections has a wrong value."),
        ("unknown_setting", f"{file}: sevrer is no setting."),
        ("wrong_setting", f"{file}: workers.nice has a wrong value."),
    ]
    assert (found[0].expected, found[0].got) == ("a whole number from 0 to 65,535", "99999")
    assert (found[1].expected, found[1].got) == ("one of debug, info, warning, error", "loud")
    assert found[2].hint == "Did you mean NODEGRAPH_SERVER__PORT?"
    assert found[3].hint == "Did you mean server.port?"
    assert found[4].hint == "Did you mean port?"
    assert found[5].got == '"many"'
    assert found[6].hint == "Did you mean server?"


@pytest.mark.parametrize(
    ("key", "toml"),
    [
        ("server.port", '"8188"'),
        ("server.port", "true"),
        ("server.port", "-1"),
        ("server.port", "1.5"),
        ("server.port", "{ a = 1 }"),
        ("server.auth", "0"),
        ("server.auth", '"false"'),
        ("server.host", '"http://example.org"'),
        ("server.host", '"*"'),
        ("server.host", "3"),
        ("server.allowed_hosts", '"example.org"'),
        ("server.allowed_hosts", '["*.example.org"]'),
        ("server.allowed_hosts", '["example.org:80"]'),
        ("server.requests_per_second", "nan"),
        ("server.requests_per_second", "inf"),
        ("server.requests_per_second", "0"),
        ("server.max_body_bytes", '"16 bananas"'),
        ("server.max_body_bytes", '"-1 MB"'),
        ("server.max_body_bytes", "1.5"),
        ("workers.count", "0"),
        ("workers.count", '"many"'),
        ("workers.nice", "-5"),
        ("webhooks.hosts", '["example.org/hook"]'),
        ("log.level", '"loud"'),
        ("log.json_lines", "1"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, key: str, toml: str) -> None:
    section, name = key.split(".")
    (problem,) = problems(tmp_path, f"[{section}]\n{name} = {toml}\n")
    assert problem.message.endswith(f"{key} has a wrong value.")
    assert problem.expected == known_settings()[key].expected
    assert problem.got


def test_a_section_is_a_table(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "server = 3")
    assert (problem.expected, problem.got) == ("a table, [server]", "3")
    (problem,) = problems(tmp_path, NODEGRAPH_SERVER='{"port": 1}')
    assert problem.hint == "Set what is in it one by one, as NODEGRAPH_SERVER__HOST."


def test_a_setting_in_the_wrong_place_is_led_home(tmp_path: Path) -> None:
    assert problems(tmp_path, "port = 3")[0].hint == "Did you mean server.port?"
    assert problems(tmp_path, NODEGRAPH_PORT="3")[0].hint == "Did you mean NODEGRAPH_SERVER__PORT?"
    assert problems(tmp_path, "[log]\njson = true")[0].hint == "Did you mean json_lines?"


def test_the_data_folder_is_not_set_by_the_file_that_lies_in_it(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, 'data = "/x"')
    assert "--data" in (problem.hint or "")


def test_variables_of_secrets_are_no_settings(tmp_path: Path) -> None:
    assert load(tmp_path, NODEGRAPH_SECRET_HUB="x", PATH="/bin", NODEGRAPHIC="1") == Settings(data=tmp_path)


@pytest.mark.parametrize(
    ("content", "words", "line"),
    [
        (b"port = \n", "is not TOML", 1),
        (b"[server]\nport = 1\nport = 2\n", "is not TOML", None),
        (b"\xff\xfe", "is not UTF-8", None),
        (b"#" * (2 << 20), "larger than a megabyte", None),
        (b"a = " + b"[" * 100_000, "is not TOML", None),
    ],
)
def test_a_file_that_is_no_configuration_is_explained(tmp_path: Path, content: bytes, words: str, line: int | None) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(BadSettings) as caught:
        load_settings({"data": tmp_path}, None, {})
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.hint
    assert line is None or problem.line == line


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbf[server]\nport = 5\n")
    assert load_settings({"data": tmp_path}, None, {}).server.port == 5


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="There is no file"):
        load_settings({"data": tmp_path}, tmp_path / "no.toml", {})
    with pytest.raises(BadSettings, match="cannot be read"):
        load_settings({"data": tmp_path}, tmp_path, {})


values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(), st.lists)


@given(st.dictionaries(st.text() | st.sampled_from(sorted(known_settings())), values))
def test_flags_of_any_kind_give_settings_or_problems(flags: dict[str, Any]) -> None:
    assert outcome(flags, {"NODEGRAPH_DATA": "/nowhere"})


names = st.text(st.characters(exclude_characters="\0=", codec="utf-8"), max_size=10).map("NODEGRAPH_".__add__)
known_names = st.sampled_from([setting.variable for setting in known_settings().values()])


@given(st.dictionaries(names | known_names, st.text()))
def test_any_environment_gives_settings_or_problems(environ: dict[str, str]) -> None:
    found = outcome({"data": "/nowhere"}, environ)
    assert isinstance(found, Settings) or (found and all(problem.message for problem in found))


@given(st.text(st.characters(exclude_categories=["C"])), st.sampled_from(sorted(known_settings())))
def test_a_text_in_the_file_is_taken_or_refused_in_words(tmp_path: Path, text: str, key: str) -> None:
    section, _, name = key.rpartition(".")
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    config(tmp_path, f"{f'[{section}]' if section else ''}\n{name} = {quoted}\n")
    found = outcome({"data": tmp_path}, {})
    assert isinstance(found, Settings) or len(found) == 1


# ---- secrets and strangers ----


def test_the_token_is_never_printed(tmp_path: Path) -> None:
    found = load(tmp_path, f'[server]\ntoken = "{LONG_TOKEN}"')
    assert found.server.token is not None
    assert found.server.token.get_secret_value() == LONG_TOKEN
    for text in (repr(found), str(found), found.model_dump_json(), repr(found.model_dump())):
        assert LONG_TOKEN not in text


@pytest.mark.parametrize("bad", ["hid den", "hid\tden", "hiddén", "hidden" * 100])
def test_a_token_that_cannot_be_sent_is_refused_and_not_told(tmp_path: Path, bad: str) -> None:
    found = problems(tmp_path, f'[server]\ntoken = "{bad}"', {"server.token": bad}, NODEGRAPH_SERVER__TOKEN=bad)
    assert [problem.got for problem in found] == ["(not shown)"] * 3
    assert "hid" not in str([problem.to_json() for problem in found])
    with pytest.raises(ValidationError) as caught:
        Server(token=bad)  # type: ignore[arg-type]
    assert "hid" not in str(caught.value).replace("hide", "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org", "::ffff:10.0.0.1"])
def test_without_a_token_only_this_machine_is_served(tmp_path: Path, host: str) -> None:
    (problem,) = problems(tmp_path, "[server]\nauth = false", {"server.host": host})
    assert problem.code == "open_to_strangers"
    assert "--host" in problem.message
    assert str(tmp_path / "config.toml") in problem.message
    assert "127.0.0.1" in (problem.hint or "")
    with pytest.raises(ValidationError):
        Server(host=host, auth=False)
    assert load(tmp_path, "", {"server.host": host}).server.auth


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "[::1]", "LOCALHOST", "::ffff:127.0.0.1"])
def test_on_this_machine_the_token_may_be_off(tmp_path: Path, host: str) -> None:
    found = load(tmp_path, "", {"server.host": host, "server.auth": False})
    assert is_loopback(found.server.host)
    assert not found.server.auth


def test_a_token_that_others_could_guess_guards_this_machine_only(tmp_path: Path) -> None:
    assert load(tmp_path, "", {"server.token": "short"}).server.token is not None
    (problem,) = problems(tmp_path, "", {"server.token": "short", "server.host": "0.0.0.0"})
    assert "guessed" in problem.message
    assert "short" not in problem.message.replace("so short a token", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions there")
def test_a_file_with_a_token_that_others_can_read_is_noted(tmp_path: Path) -> None:
    file = config(tmp_path, f'[server]\ntoken = "{LONG_TOKEN}"')
    file.chmod(0o644)
    assert "chmod 600" in read_settings({"data": tmp_path}, None, {}).notes[0]
    file.chmod(stat.S_IRUSR)
    assert not read_settings({"data": tmp_path}, None, {}).notes


def test_reading_settings_imports_nothing_heavy() -> None:
    heavy = "torch numpy aiohttp nodegraph.engine nodegraph.graph pydantic_settings"
    code = f"import sys, nodegraph.settings, nodegraph.logs; print([n for n in {heavy.split()} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
