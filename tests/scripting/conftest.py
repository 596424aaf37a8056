"""The catalog and the packs that scripts are written for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nodegraph.graph import Catalog, Document, installed_catalog
from nodegraph.scripting import python_script
from nodegraph.sdk.pack import installed_packs


@pytest.fixture(scope="session")
def catalog(data_folder: Path) -> Catalog:
    return installed_catalog(data_folder / "catalog")


@pytest.fixture(scope="session")
def script_of(catalog: Catalog) -> Callable[[Document], str]:
    """The script for a document, with the installed packs."""
    modules = {name: point.module for name, point in installed_packs().items()}
    return lambda document: python_script(document, catalog, modules)


def built(script: str) -> Document:
    """What a script builds, run right here."""
    names: dict[str, Any] = {"__name__": "script", "__file__": "script.py"}
    exec(compile(script, "script.py", "exec", dont_inherit=True), names)
    document: Document = names["graph"].document()
    return document
