"""Every file that was ever saved opens: nothing lost, and what opening says is what it always said, or better."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corpus.record import digest, files, node_types, opens_as_before, read
from nodegraph import InvalidWorkflow, Session, load
from nodegraph.graph import dump_document, parse_document, validate
from nodegraph.graph.document import to_json

INDEX, TYPES = read("index.json"), read("node_types.json")


def said(path: Path) -> list[str]:
    """The codes of what validation says of a file."""
    with Session() as session:
        try:
            return sorted({problem.code for problem in validate(load(path, session).linked, session.catalog)})
        except InvalidWorkflow as error:
            return sorted({problem.code for problem in error.problems})


def leaves(value: Any) -> Iterator[Any]:
    """Every value in JSON data that is no list or object."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def test_every_file_is_recorded_and_as_it_was() -> None:
    assert {name: digest(path) for name, path in files().items()} == {name: row["sha256"] for name, row in INDEX.items()}


@pytest.mark.parametrize("name", INDEX)
def test_a_saved_file_opens_as_it_always_did(name: str) -> None:
    assert said(files()[name]) == INDEX[name]["says"]


@pytest.mark.parametrize("name", INDEX)
def test_opening_and_saving_loses_nothing(name: str) -> None:
    text = files()[name].read_text("utf-8")
    with Session() as session:
        document = load(files()[name], session).document
    saved = dump_document(document)
    assert dump_document(parse_document(saved)) == saved
    kept = [json.dumps(value) for value in leaves(to_json(document))]
    for value in leaves(json.loads(text)):
        assert json.dumps(value) in kept


def test_no_shipped_node_type_changes_its_sockets_without_a_new_version() -> None:
    """Where this fails: raise the node's `version`, write a `@migrate`, and record it (README.md beside this file)."""
    now = node_types()
    assert {name: TYPES.get(name) for name in now} == now


def test_every_recorded_version_of_a_node_type_can_still_be_opened() -> None:
    with Session() as session:
        catalog = session.catalog
    for name in TYPES:
        type_id, version = name.rsplit(" ", 1)
        spec = catalog.nodes.get(type_id)
        today = spec is not None and spec.version == int(version)
        assert today or (type_id, int(version)) in catalog.migrations, f"{name} leads nowhere"


def test_a_version_may_get_inputs_that_can_be_left_out_and_nothing_else() -> None:
    recorded = {"inputs": {"image": "Image", "size": "int ="}, "outputs": {"image": "Image"}}
    more = {"inputs": {**recorded["inputs"], "seed": "int ="}, "outputs": {**recorded["outputs"], "mask": "Mask"}}
    assert opens_as_before(recorded, more)
    assert not opens_as_before(more, recorded)
    assert not opens_as_before(recorded, {**recorded, "inputs": {**recorded["inputs"], "mask": "Mask"}})
    assert not opens_as_before(recorded, {**recorded, "inputs": {**recorded["inputs"], "size": "int"}})
