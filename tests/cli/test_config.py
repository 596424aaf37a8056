"""`nodegraph config`: what counts, where it comes from, and that the schema says what the program takes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cli.conftest import Nodegraph
from nodegraph.cli.config import file_schema
from nodegraph.settings import BadSettings, load_settings
from nodegraph.settings.fields import known_settings

TOKEN = "a-token-of-many-characters"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NODEGRAPH_DATA", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_each_value_is_shown_with_its_origin(nodegraph: Nodegraph, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "config.toml").write_text('[workers]\ncache_disk_bytes = "500 GB"\n')
    monkeypatch.setenv("NODEGRAPH_LOG__LEVEL", "debug")
    lines = {line.split()[0]: line.split()[1:] for line in nodegraph("config", "--data", data).stdout.splitlines()}
    assert lines["workers.cache_disk_bytes"] == ["500", "GB", str(data / "config.toml")]
    assert lines["log.level"] == ["debug", "NODEGRAPH_LOG__LEVEL"]
    assert lines["data"] == [str(data), "--data"]
    assert lines["server.port"] == ["8188", "default"]
    assert set(known_settings()) < set(lines)


def test_as_json_values_keep_their_types(nodegraph: Nodegraph, data: Path) -> None:
    (data / "config.toml").write_text("[server]\nport = 9000\n")
    found = nodegraph("config", "--json", "--data", data).json
    assert found["settings"]["server"]["port"] == 9000
    assert found["settings"]["workers"]["memory_bytes"] is None
    assert found["sources"]["server.port"] == {"kind": "file", "place": str(data / "config.toml")}
    assert found["file"] == str(data / "config.toml")


def test_the_token_is_not_shown(nodegraph: Nodegraph, data: Path) -> None:
    file = data / "config.toml"
    file.write_text(f'[server]\ntoken = "{TOKEN}"\n')
    file.chmod(0o644)
    plain, as_json = nodegraph("config", "--data", data), nodegraph("config", "--data", data, "--json")
    assert as_json.json["settings"]["server"]["token"] == "(set)"
    assert any(line.split()[:2] == ["server.token", "(set)"] for line in plain.stdout.splitlines())
    assert "chmod 600" in plain.stderr
    assert TOKEN not in plain.stdout + plain.stderr + as_json.stdout


def test_wrong_settings_are_listed_and_end_with_code_2(nodegraph: Nodegraph, data: Path) -> None:
    (data / "config.toml").write_text(f'[server]\nprot = 1\ntoken = ["{TOKEN}"]\nauth = "no"\n')
    done = nodegraph("config", "--data", data)
    assert (done.code, done.error, done.stdout) == (2, None, "")
    assert done.stderr.startswith("These settings cannot be used: 3 problems.")
    as_json = nodegraph("config", "--data", data, "--json")
    assert [problem["code"] for problem in as_json.json["problems"]] == ["unknown_setting", "wrong_setting", "wrong_setting"]
    assert TOKEN not in done.stderr + as_json.stdout


def test_another_file_can_be_named(nodegraph: Nodegraph, data: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[jobs]\nkeep_days = 1\n")
    found = nodegraph("config", "--json", "--data", data, "--config", tmp_path / "other.toml").json
    assert found["settings"]["jobs"]["keep_days"] == 1
    assert nodegraph("config", "--data", data, "--config", tmp_path / "no.toml").code == 2


def test_asking_makes_nothing(nodegraph: Nodegraph, tmp_path: Path) -> None:
    assert nodegraph("config", "--data", tmp_path / "new").code == 0
    assert not (tmp_path / "new").exists()


# ---- the schema ----


def test_the_schema_is_one_and_has_every_setting_but_the_data_folder(nodegraph: Nodegraph) -> None:
    schema = nodegraph("config", "--schema").json
    jsonschema.Draft202012Validator.check_schema(schema)
    named = set(schema["properties"]) | {
        f"{section}.{name}"
        for section, part in schema["properties"].items()
        if "$ref" in part
        for name in schema["$defs"][part["$ref"].rsplit("/")[-1]]["properties"]
    }
    assert set(known_settings()) - {"data"} <= named
    assert "data" not in schema["properties"]
    jsonschema.validate({}, schema)


@pytest.mark.parametrize(
    "text",
    [
        '[server]\nport = 1\nmax_body_bytes = "4 GiB"\nallowed_hosts = ["a.b"]',
        '[workers]\ncount = "auto"\nmemory_bytes = 1_000_000_000',
        'models = ["/a"]',
        "[workers]\ncount = 0",
        '[server]\nport = "1"',
        "[server]\nprot = 1",
        '[server]\nmax_body_bytes = "many"',
        "server = 1",
        'models = "/a"',
        '[log]\nlevel = "loud"',
    ],
)
def test_the_schema_agrees_with_the_program(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    found: Any = None
    try:
        load_settings({"data": tmp_path}, None, {})
    except BadSettings as error:
        found = error
    assert (found is None) == jsonschema.Draft202012Validator(file_schema()).is_valid(tomllib.loads(text))
