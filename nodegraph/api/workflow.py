"""Workflows from Python: load one, set its inputs, run it, save what came out; or build one by calling node functions."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nodegraph.api.linking import linked_document
from nodegraph.api.outputs import Rows, Saver
from nodegraph.api.saving import Saved, save_document
from nodegraph.api.session import Session, default_session
from nodegraph.artifacts import extract
from nodegraph.engine import Listener, RunOptions, RunResult
from nodegraph.graph import (
    Document,
    PublicInput,
    dump_document,
    parse_document,
    public_inputs,
    used_inputs,
    with_inputs,
)
from nodegraph.graph.document import Interface, InterfaceInput, NodeEntry, Subgraph
from nodegraph.graph.interface import set_value
from nodegraph.graph.opening import decoded, read_bytes
from nodegraph.sdk.builder import NODE_ID, GraphBuilder, Link
from nodegraph.sdk.context import Asker
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, Problem
from nodegraph.sdk.writing import real_place
from nodegraph.store import Roots
from nodegraph.store.ledger import digest_of

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class RunFailed(Exception):
    """A run that did not give everything it was asked for. `result` has what there is."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__("\n".join(map(str, result.run.problems)) or f"the run was {result.run.status}")


@dataclass(frozen=True)
class Result:
    """What a workflow gave: `result["image"]` is an output's value, `save` puts the files into a folder."""

    document: Document
    run: RunResult
    session: Session
    files: Rows = field(default_factory=dict)
    """What was placed in the run's output folder: `{NAME: [{"path", "digest"}]}`; JSON outputs are `{"value": ...}`."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def values(self) -> dict[str, Any]:
        """Every output's value by name: tensors, artifacts, JSON values."""
        return {output.name: output.value for output in self.run.outputs}

    @property
    def inputs(self) -> dict[str, Any]:
        """The public inputs as used."""
        return used_inputs(self.document, self.session.catalog)

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """What became of every node: state, reason, milliseconds."""
        return self.run.nodes

    def save(self, folder: str | Path = "outputs") -> Rows:
        """Write the outputs that can be files: `{NAME: [{"path", "digest"}]}`. Raises NodeError."""
        saver = Saver(self.document, self.session.library, Path(folder))
        for output in self.run.outputs:
            saver(output)
        files, problems = saver.files()
        if problems:
            raise NodeError(problems[0].message, expected=problems[0].expected, got=problems[0].got, hint=problems[0].hint)
        return files


class Workflow:
    """A document in a session: a function with typed inputs."""

    def __init__(
        self,
        document: Document,
        session: Session | None = None,
        path: Path | None = None,
        seen: Mapping[Path, str] | None = None,
    ) -> None:
        self.document, self.path = document, path
        self.session = session or default_session()
        self._seen = dict(seen or {})  # the digests of files as they were opened or saved from here

    @property
    def linked(self) -> Document:
        """The document as it runs: subgraphs that lie in other files are inside. Raises InvalidWorkflow."""
        return linked_document(self.document, self.session.catalog, self._roots(), self.path)

    @property
    def inputs(self) -> dict[str, PublicInput]:
        """The public inputs: their specs and present values."""
        return public_inputs(self.linked, self.session.catalog)

    def with_inputs(self, **inputs: Any) -> Workflow:
        """The same workflow with inputs set. Raises InvalidWorkflow."""
        nodes = with_inputs(self.linked, self.session.catalog, inputs).nodes
        return Workflow(self.document.model_copy(update={"nodes": nodes}), self.session, self.path, self._seen)

    def with_values(self, values: Mapping[str, Any]) -> Workflow:
        """The same workflow with `node.input` values set, public or not. Raises InvalidWorkflow for unknown nodes."""
        unknown = [place for place in values if place.partition(".")[0] not in self.document.nodes]
        if unknown:
            raise InvalidWorkflow([Problem("no_such_node", f"There is no {place!r} to set.") for place in unknown])
        document = self.document.model_copy(update={"nodes": dict(self.document.nodes)})
        for place, value in values.items():
            set_value(document, place, value)
        return Workflow(document, self.session, self.path, self._seen)

    def run(
        self,
        *,
        wanted: Sequence[str] | None = None,
        listener: Listener | None = None,
        out: str | Path | None = None,
        exact: bool = True,
        asker: Asker | None = None,
        allow: Sequence[str] = (),
        **inputs: Any,
    ) -> Result:
        """Run with these inputs and wait.

        `wanted` names nodes to run instead of the outputs; with `out` every output that can be a file is placed in that folder
        as soon as it is there, and not held in memory (see `Result.files`); runs that are not `exact` may share batches;
        `asker` is asked where a node wants a person's decision; `allow` names files that may lie anywhere.

        Raises InvalidWorkflow before anything runs, RunFailed when something failed.
        """
        workflow = (self.with_inputs(**inputs) if inputs else self)._standing_alone()
        plan = self.session.compile(workflow.document, wanted)
        saver = workflow._saver(out)
        options = RunOptions(listener, exact=exact, receiver=saver, keep=saver is None, asker=asker)
        return workflow._checked(self.session.run(plan, options, roots=self._roots(allow)), saver)

    async def run_async(
        self,
        *,
        wanted: Sequence[str] | None = None,
        listener: Listener | None = None,
        out: str | Path | None = None,
        exact: bool = True,
        asker: Asker | None = None,
        allow: Sequence[str] = (),
        **inputs: Any,
    ) -> Result:
        """The same for asyncio."""
        workflow = (self.with_inputs(**inputs) if inputs else self)._standing_alone()
        plan = self.session.compile(workflow.document, wanted)
        saver = workflow._saver(out)
        options = RunOptions(listener, exact=exact, receiver=saver, keep=saver is None, asker=asker)
        result = await self.session.run_async(plan, options, roots=self._roots(allow))
        return await asyncio.to_thread(workflow._checked, result, saver)

    def _standing_alone(self) -> Workflow:
        """The workflow as it runs and as pictures carry it: without other files."""
        return Workflow(self.linked, self.session, self.path, self._seen)

    def _saver(self, out: str | Path | None) -> Saver | None:
        return None if out is None else Saver(self.document, self.session.library, Path(out))

    def _checked(self, run: RunResult, saver: Saver | None) -> Result:
        files, problems = ({}, []) if saver is None else saver.files()
        if problems:
            run = replace(run, status="failed", problems=[*run.problems, *problems])
        result = Result(self.document, run, self.session, files)
        if run.status != "succeeded":
            raise RunFailed(result)
        return result

    def _roots(self, allow: Sequence[str] = ()) -> Roots:
        """Files may also lie beside the workflow's own file."""
        return self.session.roots.beside(self.path).allowing(allow)

    def to_json(self) -> str:
        return dump_document(self.document)

    def save(self, path: str | Path | None = None, *, force: bool = False) -> Saved:
        """Write the document into its file, or another: whole or not at all, and what was there stays in the history.

        Raises StaleRevision where the file was opened or saved from here and has changed since (unless `force`), NotWritten,
        InvalidWorkflow for a document that could not be opened again, and ValueError where no file is known.
        """
        path = real_place(self._save_place() if path is None else Path(path))
        if path.suffix.lower() in PICTURES:
            raise ValueError(f"{path} has the name of a picture, and a workflow is saved as JSON: save('name.json').")
        saved = save_document(path, self.document, base=None if force else self._seen.get(path), data=self.session.data)
        self._seen[path] = saved.digest
        if self.path is None or self.path.suffix.lower() in PICTURES:
            self.path = path
        if saved.trouble:
            warnings.warn(f"{path} was saved. {saved.trouble}", stacklevel=2)
        return saved

    def _save_place(self) -> Path:
        if self.path is None:
            raise ValueError("This workflow has no file yet: save('name.json').")
        return self.path


def load(path: str | Path, session: Session | None = None) -> Workflow:
    """Open a workflow: a JSON file, or a picture that carries one. Raises InvalidWorkflow."""
    path = Path(path)
    if path.suffix.lower() in PICTURES and path.is_file():
        text = extract(path.read_bytes()).get("workflow")
        if text is None:
            raise InvalidWorkflow([Problem("no_workflow", f"{path} is a picture without a nodegraph workflow inside.")])
        return Workflow(parse_document(text), session, path)
    data = read_bytes(path)
    return Workflow(parse_document(decoded(data, path)), session, path, {real_place(path): digest_of(data)})


class Graph(GraphBuilder):
    """A workflow built in Python: `add` nodes, or call them with the links that `add` gave.

    graph = Graph("Apple")
    model = graph.add(load_model, model="starter")
    prompt = encode_prompt(model.text_encoder, text="a red apple")
    """

    def __init__(self, title: str = "", session: Session | None = None) -> None:
        super().__init__()
        self.title = title
        self.session = session or default_session()
        self.interface = Interface()
        self._subgraphs: dict[str, Graph] = {}
        self._opened = Document()  # what a graph that was a document keeps of it: id, layout, fields of other programs

    def input(self, name: str, *to: str, title: str = "", description: str = "") -> None:
        """Make `node.input`s public under one name."""
        self.interface.inputs[name] = InterfaceInput(to=list(to), title=title, description=description)

    def output(self, name: str, link: Link) -> None:
        """Make a link an output of the workflow."""
        self.interface.outputs[name] = f"{link.node}.{link.output}"

    def subgraph(self, name: str, title: str = "") -> Graph:
        """A new subgraph of this document, to fill like any graph: its inputs and outputs are what loops see of it."""
        if not NODE_ID.match(name):
            raise ValueError(f"{name!r} cannot be a subgraph's name: letters, digits, _ and -, not starting with a digit")
        inner = self._subgraphs[name] = Graph(title, self.session)
        inner._subgraphs = self._subgraphs
        return inner

    def document(self) -> Document:
        """The graph as a document."""
        made = {
            name: Subgraph(title=inner.title, nodes=inner._entries(), interface=inner.interface)
            for name, inner in self._subgraphs.items()
        }
        changed = {"title": self.title, "nodes": self._entries(), "interface": self.interface}
        changed["subgraphs"] = {**self._opened.subgraphs, **made}
        return self._opened.model_copy(update=changed).model_copy(deep=True)

    def _entries(self) -> dict[str, NodeEntry]:
        entries = {}
        for name, built in self.nodes.items():
            links: dict[str, str | list[str]] = {
                key: [f"{item.node}.{item.output}" for item in link]
                if isinstance(link, tuple)
                else f"{link.node}.{link.output}"
                for key, link in built.links.items()
            }
            type_id = self.session.library.id_of(built.node)
            kept = self._opened.nodes.get(name) or NodeEntry(type=type_id)
            changed = {"type": type_id, "version": built.node.version, "inputs": dict(built.values), "links": links}
            entries[name] = kept.model_copy(update=changed)
        return entries

    def workflow(self) -> Workflow:
        return Workflow(self.document(), self.session)

    @staticmethod
    def of(document: Document, session: Session | None = None) -> Graph:
        """A document as a graph again. Raises PackError for node types that are not installed."""
        graph = Graph(document.title, session)
        graph._opened = document.model_copy(deep=True)
        graph.interface = graph._opened.interface

        def link(text: str) -> Link:
            node, _, output = text.partition(".")
            return Link(graph, node, output)

        for name, entry in document.nodes.items():
            links = {
                key: [link(t) for t in text] if isinstance(text, list) else link(text) for key, text in entry.links.items()
            }
            graph.add(graph.session.library.node(entry.type), name, **{**entry.inputs, **links})
        return graph
