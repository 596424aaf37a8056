"""Where things are: what ships with the project, and the user's data folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from nodegraph.sdk.errors import PackError
from nodegraph.store.files import Roots
from nodegraph.store.model_folders import registered_roots

DISK_BYTES = 10 << 30
"""The default budget of the cache on disk."""

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """A folder that ships with the project (`workflows`, `models`), in a clone or in an installed wheel."""
    clone = _PACKAGE.parent / name
    if (_PACKAGE.parent / "pyproject.toml").is_file() and clone.is_dir():
        return clone
    packed = _PACKAGE / "_data" / name
    if packed.is_dir():
        return packed
    raise PackError(f"This installation of nodegraph lacks its folder {name!r}. Install it again.")


def data_folder(given: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """The data folder: as given, else $NODEGRAPH_DATA, else the platform's place for user data. It may not exist yet."""
    if given is not None:
        return given.expanduser()
    if named := (os.environ if environ is None else environ).get("NODEGRAPH_DATA"):
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("nodegraph", appauthor=False)


def roots(data: Path, *, models: Sequence[Path] = (), files: Sequence[Path] = ()) -> Roots:
    """Where documents may find files: the data folder, what ships with the project, folders given here and registered ones.

    Of what ships, documents may read the examples' pictures: `examples/apple.png`.
    """
    return Roots(
        (data / "inputs", *files, shipped("workflows")),
        (data / "models", *models, *registered_roots(data), shipped("models")),
        workflows=(data / "workflows", shipped("workflows")),
    )


def cache_folder(data: Path) -> Path:
    """Where in the data folder cached results lie."""
    return data / "cache"


def scratch_folder(data: Path) -> Path:
    """Where unfinished work lies, a folder for each result's key."""
    return data / "scratch"


def journal_file(data: Path) -> Path:
    """What past runs left behind: their nodes, times and thumbnails."""
    return data / "journal.sqlite"


def secrets_file(data: Path) -> Path:
    """Secrets by name, where the system has no keyring; nobody else may read it."""
    return data / "secrets.json"


def trust_file(data: Path) -> Path:
    """What has been accepted of documents from outside."""
    return data / "trust.json"
