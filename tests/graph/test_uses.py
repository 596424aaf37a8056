"""What a document reaches for: found wherever it hides, and told by node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nodegraph import FilePath, FolderPath, ModelFile, Pack, Secret, node
from nodegraph.graph import Catalog
from nodegraph.graph.catalog import PackOrigin
from nodegraph.graph.document import document_from
from nodegraph.graph.uses import Use, told, uses
from nodegraph.store.trust import Trust, unaccepted
from nodegraph_nodes import core


@node(permissions={"network"})
def fetch(address: str, token: Secret | None = None) -> str:
    """Reaches out."""
    return address


@node()
def read(file: FilePath) -> int:
    """Reads a file."""
    return 1


@node()
def sort(folder: FolderPath) -> int:
    """Reads a folder."""
    return 1


@node()
def weights(model: ModelFile[Any] = "starter") -> int:  # type: ignore[assignment]
    """Loads a model."""
    return 1


def catalog() -> Catalog:
    bare = Catalog.of([Pack.of("t", [fetch, read, sort, weights]), Pack.of("core", vars(core).values())])
    return Catalog(bare.nodes, bare.sockets, origins={"core": PackOrigin("nodegraph", "1"), "t": PackOrigin("somebody", "2")})


CATALOG = catalog()


def found(nodes: dict[str, Any], **subgraphs: Any) -> dict[Use, str]:
    return uses(document_from({"nodegraph": 1, "nodes": nodes, "subgraphs": subgraphs}), CATALOG)


def test_reading_a_folder_is_reading_files() -> None:
    assert found({"s": {"type": "t/sort", "inputs": {"folder": "cats"}}}).keys() == {Use("file", "cats"), Use("pack", "t")}


def test_a_document_of_our_own_nodes_reaches_for_nothing() -> None:
    assert found({"a": {"type": "core/integer", "inputs": {"value": 1}}}) == {}


def test_secrets_files_permissions_packs_and_models_are_found_with_their_node() -> None:
    nodes = {
        "get": {"type": "t/fetch", "inputs": {"address": "x", "token": "HUB"}},
        "one": {"type": "t/read", "inputs": {"file": "a.png"}},
        "net": {"type": "t/weights"},
    }
    assert found(nodes) == {
        Use("pack", "t"): "get",
        Use("permission", "network"): "get",
        Use("secret", "HUB"): "get",
        Use("file", "a.png"): "one",
        Use("model", "starter"): "net",
    }


def test_files_named_through_subgraphs_and_loops_are_found() -> None:
    part = {
        "nodes": {"r": {"type": "t/read"}},
        "interface": {"inputs": {"item": {"to": ["r.file"]}}, "outputs": {"n": "r.value"}},
    }
    part["nodes"]["r"]["inputs"] = {"file": "inside.png"}  # type: ignore[index]
    nodes = {"s": {"type": "subgraph/part", "inputs": {"item": "outside.png"}}}
    reads = {use.name: place for use, place in found(nodes, part=part).items() if use.kind == "file"}
    assert reads == {"outside.png": "s", "inside.png": "subgraphs.part/r"}


def test_a_secret_in_place_of_its_name_is_not_told() -> None:
    token = "sk-live-51H8x/very=secret"
    wanted = found({"get": {"type": "t/fetch", "inputs": {"address": "x", "token": token}}})
    assert {use.kind for use in wanted} == {"pack", "permission", "secret"}
    assert token not in str(wanted)


def test_disabled_nodes_and_defaults_of_interfaces_count() -> None:
    part = {"nodes": {"r": {"type": "t/read"}}, "interface": {"inputs": {"f": {"to": ["r.file"], "default": "d.png"}}}}
    off = {"type": "t/read", "inputs": {"file": "off.png"}, "disabled": True}
    reads = {use.name for use in found({"off": off, "s": {"type": "subgraph/part"}}, part=part) if use.kind == "file"}
    assert reads == {"off.png", "d.png"}


def test_unknown_types_reach_for_nothing_that_could_be_known() -> None:
    assert found({"x": {"type": "gone/node", "inputs": {"file": "a.png"}}}) == {}


def test_uses_are_told_for_people() -> None:
    (problem,) = told({Use("secret", "HUB"): "get"})
    assert (problem.code, problem.node, problem.message) == ("untrusted", "get", "It reads the secret 'HUB'.")


def test_what_was_accepted_is_not_asked_again_and_more_is(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "trust.json")
    wanted = {Use("file", "a.png"): "one", Use("secret", "HUB"): "get", Use("model", "starter"): "net"}
    assert set(unaccepted(trust, ["/w.json"], wanted)) == {Use("file", "a.png"), Use("secret", "HUB")}
    trust.accept([Use("file", "a.png")], "/w.json", "digest")
    assert set(unaccepted(trust, ["/w.json"], wanted)) == {Use("secret", "HUB")}
    trust.accept([Use("secret", "HUB")], "/w.json", "digest")
    assert set(unaccepted(trust, ["/w.json"], wanted)) == set()
    assert set(unaccepted(trust, ["/moved.json", "digest"], wanted)) == {Use("file", "a.png")}, "another file there"
    assert set(unaccepted(trust, ["/other.json"], wanted)) == {Use("file", "a.png"), Use("secret", "HUB")}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"accepted": 3}', '{"accepted": {"/w.json": [1]}}', "\x00"])
def test_a_broken_memory_trusts_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "trust.json").write_text(text)
    trust = Trust(tmp_path / "trust.json")
    assert trust.accepted("/w.json") == set()
    assert trust.accept([Use("file", "a.png")], "/w.json", "digest")
    assert json.loads((tmp_path / "trust.json").read_text())["accepted"] == {"/w.json": [["file", "a.png"]]}


def test_where_nothing_can_be_remembered_accepting_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not Trust(tmp_path / "file" / "trust.json").accept([Use("file", "a.png")], "/w.json", "digest")


def test_defaults_of_a_subgraph_that_nobody_calls_yet_count() -> None:
    """A caller may choose the body of a loop, and with it what the document put there."""
    part = {"nodes": {"r": {"type": "t/read"}}, "interface": {"inputs": {"f": {"to": ["r.file"], "default": "d.png"}}}}
    assert found({}, part=part)[Use("file", "d.png")] == "subgraphs.part"
