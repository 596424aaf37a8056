"""`nodegraph config`: the settings that count here, and where each comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nodegraph.cli.show import DONE, print_json, refuse, stderr, stdout, table
from nodegraph.cli.wording import plain
from nodegraph.settings import BadSettings, Loaded, Settings, Source, read_settings
from nodegraph.settings.fields import known_settings, value_of


def config_command(as_json: bool, data: Path | None, config: Path | None, schema: bool) -> int:
    """Print the effective settings, or the JSON Schema of the configuration file."""
    if schema:
        print_json(file_schema())
        return DONE
    try:
        loaded = read_settings({"data": data}, config, os.environ)
    except BadSettings as error:
        return refuse(error.problems, as_json, "These settings cannot be used")
    if as_json:
        print_json(_as_json(loaded))
        return DONE
    rows = table("setting", "value", "from")
    for key, setting in known_settings().items():
        rows.add_row(key, plain(setting.text(value_of(loaded.settings, key))), plain(_origin(loaded.sources[key])))
    stdout().print(rows)
    for note in loaded.notes:
        stderr().print(note, style="yellow", soft_wrap=True)
    return DONE


def file_schema() -> dict[str, Any]:
    """The JSON Schema of `config.toml`: all settings but the data folder, which the file lies in."""
    schema = Settings.model_json_schema()
    del schema["properties"]["data"]
    schema.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "nodegraph's config.toml"}


def _as_json(loaded: Loaded) -> dict[str, Any]:
    settings = loaded.settings.model_dump(mode="json")
    if loaded.settings.server.token is not None:
        settings["server"]["token"] = "(set)"
    return {
        "settings": settings,
        "sources": {key: {"kind": kind, "place": place or None} for key, (kind, place) in loaded.sources.items()},
        "file": str(loaded.config) if loaded.config else None,
        "notes": loaded.notes,
    }


def _origin(source: Source) -> str:
    return source.place or source.kind
