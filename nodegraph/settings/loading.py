"""Flags, environment and file become one `Settings`, or a list of everything that is wrong with them.

pydantic-settings stops at the first variable it cannot read, passes over unknown variables, and forgets where a value came
from; so each source is checked here value by value, and what wins keeps its place.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import SecretStr

from nodegraph.api.paths import data_folder
from nodegraph.sdk.errors import Problem, nearest
from nodegraph.settings.fields import PREFIX, Setting, known_settings, sections, value_of
from nodegraph.settings.file import CONFIG_NAME, read_config
from nodegraph.settings.model import SHORTEST_TOKEN, Settings, exposed

FLAGS = {
    "data": "--data",
    "models": "--models",
    "server.host": "--host",
    "server.port": "--port",
    "server.auth": "--no-auth",
    "server.token": "--token",
    "workers.count": "--workers",
    "workers.exact": "--exact",
    "log.json_lines": "--log-json",
    "log.level": "--log-level",
}
"""How the settings are called on the command line that have an option there."""

_NO_SETTINGS = ("NODEGRAPH_SECRET_", "NODEGRAPH_TOKEN")  # variables of other parts of the program
_SHOWN = 72  # characters of a wrong value


class BadSettings(ValueError):
    """Settings that cannot be used. `problems` lists everything that is wrong with them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Source(NamedTuple):
    """Where a value comes from. place: the flag, the variable or the file."""

    kind: Literal["flag", "environment", "file", "default"]
    place: str = ""


DEFAULT = Source("default")


class Loaded(NamedTuple):
    """Settings, and for each key where its value comes from; `config`: the file that was read, if there is one."""

    settings: Settings
    sources: Mapping[str, Source]
    config: Path | None

    @property
    def notes(self) -> list[str]:
        """What is allowed and still better otherwise."""
        if self.config is None or self.sources["server.token"].kind != "file" or os.name == "nt":
            return []
        others = self.config.stat().st_mode & 0o077
        return [f"{self.config} holds the token, and other users of this machine can read it: chmod 600"] if others else []


class _Given(NamedTuple):
    """A value as a source has it. name: how the source calls it."""

    setting: Setting
    value: Any
    source: Source
    name: str
    strict: bool = False
    folder: Path | None = None  # that relative paths start from


def load_settings(flags: Mapping[str, Any], config: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of this process. Raises BadSettings.

    flags: by key (`server.port`), None where a flag was not given; config: a file to read instead of the data folder's.
    """
    return read_settings(flags, config, environ).settings


def read_settings(flags: Mapping[str, Any], config: Path | None, environ: Mapping[str, str]) -> Loaded:
    """The same with the origin of each value. Raises BadSettings."""
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}

    def take(rows: Iterator[_Given | Problem]) -> None:
        for row in rows:
            read = row if isinstance(row, Problem) else _checked(row)
            if isinstance(read, Problem):
                problems.append(read)
            elif not isinstance(row, Problem) and row.setting.key not in values:  # the strongest source comes first
                values[row.setting.key], sources[row.setting.key] = read, row.source

    take(_from_flags(flags))
    take(_from_environment(environ))
    data = values.setdefault("data", Path(os.path.abspath(data_folder(None, environ))))  # noqa: PTH100  links stay
    file = config.expanduser() if config is not None else data / CONFIG_NAME
    table, wrong = read_config(file, asked=config is not None)
    problems += wrong
    take(_from_file(table or {}, file))
    problems += _exposed(values, sources)
    if problems:
        raise BadSettings(problems)
    origins = {key: sources.get(key, DEFAULT) for key in known_settings()}
    return Loaded(Settings.model_validate(_nested(values)), origins, file if table is not None else None)


def default_of(key: str) -> Any:
    return None if key == "data" else value_of(Settings(data=Path()), key)


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (made.setdefault(section, {}) if section else made)[name] = value
    return made


# ---- the sources ----


def _from_flags(flags: Mapping[str, Any]) -> Iterator[_Given | Problem]:
    for key, value in flags.items():
        name = FLAGS.get(key, key)
        if key not in known_settings():
            yield Problem("unknown_setting", f"{name} is not a setting.", hint=_near_key(key) or None)
        elif value is not None and value not in ([], ()):
            yield _Given(known_settings()[key], value, Source("flag", name), name, isinstance(value, int | float))


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Given | Problem]:
    by_variable = {setting.variable: setting for setting in known_settings().values()}
    for name in sorted(environ):
        text = environ[name].strip()
        if not name.startswith(PREFIX) or name.startswith(_NO_SETTINGS):
            continue
        if name not in by_variable:
            yield Problem(
                "unknown_setting", f"The environment variable {_shown(name)} is no setting.", hint=_near_variable(name)
            )
        elif text:  # an empty variable is how many say that it is not set
            setting = by_variable[name]
            yield _Given(setting, _words(setting, text), Source("environment", name), name)


def _words(setting: Setting, text: str) -> Any:
    """The text of a variable as what it means: `none`, a list as JSON or with separators, else the text."""
    if text.lower() == "none" and setting.default is None and not setting.secret:
        return None
    if not setting.listed:
        return text
    if text.startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return [part for part in map(str.strip, text.split(os.pathsep if setting.folder else ",")) if part]


def _from_file(table: Mapping[str, Any], file: Path) -> Iterator[_Given | Problem]:
    for name, value in table.items():
        if name not in sections():
            yield _in_file(name, value, file)
        elif not isinstance(value, dict):
            message = f"{file}: {name} has a wrong value."
            yield Problem("wrong_setting", message, expected=f"a table, [{name}]", got=_shown(value))
        else:
            for inner, item in value.items():
                yield _in_file(f"{name}.{inner}", item, file)


def _in_file(key: str, value: Any, file: Path) -> _Given | Problem:
    if key == "data":
        hint = "Name the data folder with --data DIR or NODEGRAPH_DATA: this file is looked for in it."
        return Problem("wrong_setting", f"{file}: data cannot be set in the file.", hint=hint)
    if key not in known_settings():
        return Problem("unknown_setting", f"{file}: {_shown(key)} is no setting.", hint=_near_key(key) or None)
    name = f"{file}: {key}"
    return _Given(known_settings()[key], value, Source("file", str(file)), name, strict=True, folder=file.parent)


# ---- one value ----


def _checked(given: _Given) -> Any:
    """The value as the model takes it, or a Problem."""
    try:
        value = given.setting.read(given.value, strict=given.strict)
        return _placed(value, given.folder) if given.setting.folder else value
    except (ValueError, RuntimeError):  # RuntimeError: no such user in ~user
        setting = given.setting
        got = "(not shown)" if setting.secret else _shown(given.value, quoted=given.strict)
        return Problem("wrong_setting", f"{given.name} has a wrong value.", expected=setting.expected, got=got)


def _placed(value: Any, folder: Path | None) -> Any:
    """Paths made absolute: `~` is the home folder, and paths in a file start beside it."""
    if isinstance(value, list):
        return [_placed(path, folder) for path in value]
    if "\0" in str(value):
        raise ValueError("no path has this character")
    return Path(os.path.abspath((folder or Path()) / value.expanduser()))  # noqa: PTH100  links stay as they are


def _exposed(values: Mapping[str, Any], sources: Mapping[str, Source]) -> list[Problem]:
    """The problem of a server that strangers could use."""
    keys = ("server.host", "server.auth", "server.token")
    host, auth, token = (values.get(key, default_of(key)) for key in keys)
    why = exposed(host, auth, token if isinstance(token, SecretStr) else None)
    if not why:
        return []
    given = ", ".join(sources[key].place for key in keys if key in sources)
    hint = (
        "Listen on 127.0.0.1, or leave the token on."
        if not auth
        else f"Take {SHORTEST_TOKEN} characters or more, or leave it out."
    )
    return [Problem("open_to_strangers", f"{why} (Set by: {given}.)", hint=hint)]


# ---- words ----


def _shown(value: Any, *, quoted: bool = False) -> str:
    try:
        bare = isinstance(value, str) and value.isprintable() and not quoted
        text = value if bare else json.dumps(value, ensure_ascii=True, default=str)
    except (ValueError, TypeError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _near_key(key: str) -> str:
    """What an unknown key was probably meant to be."""
    section, _, name = key.rpartition(".")
    elsewhere = [known for known in known_settings() if known.rpartition(".")[2] == (name or key) and known != "data"]
    if elsewhere:
        return f"Did you mean {' or '.join(elsewhere)}?"
    if section:
        return nearest(
            name, [known.rpartition(".")[2] for known in known_settings() if known.startswith(f"{section}.")], "It has"
        )
    by_name = {known.rpartition(".")[2]: known for known in known_settings() if known != "data"}
    here = [*(known for known in by_name.values() if "." not in known), *sections()]
    close = difflib.get_close_matches(key, by_name, n=1, cutoff=0.7)
    if close and not difflib.get_close_matches(key, here, n=1, cutoff=0.7):
        return f"Did you mean {by_name[close[0]]}?"
    return nearest(key, here, "There are")


def _near_variable(name: str) -> str | None:
    """What an unknown variable was probably meant to be."""
    rest = name.removeprefix(PREFIX)
    parts = [setting.variable for setting in known_settings().values()]
    if rest.lower() in sections():
        return f"Set what is in it one by one, as {next(part for part in parts if part.startswith(f'{name}__'))}."
    last = [part for part in parts if part.removeprefix(PREFIX).rpartition("__")[2] == rest.rpartition("__")[2]]
    if last:
        return f"Did you mean {' or '.join(last)}?"
    close = nearest(rest, [part.removeprefix(PREFIX) for part in parts], "")
    return close.replace("mean ", f"mean {PREFIX}", 1).replace(" or ", f" or {PREFIX}") or "`nodegraph config` lists all."
