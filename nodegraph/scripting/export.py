"""A document as a Python script that builds it: what a person would have written, and not one field lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nodegraph.graph import Catalog, Document
from nodegraph.graph.document import Subgraph, document_from, to_json
from nodegraph.scripting.names import imports, variables
from nodegraph.scripting.source import Bracketed, block, call, is_name, laid_out, value
from nodegraph.scripting.statements import NodeTypes, function_name, statements

_OWN_NAMES = frozenset({"graph", "nodegraph", "result", "name", "rows"})
"""What the script calls things of its own."""

_MAIN = """
if __name__ == "__main__":
    result = graph.workflow(__file__).run(out="outputs")
    for name, rows in result.files.items():
        print(name, rows)
"""


def python_script(document: Document, catalog: Catalog, modules: Mapping[str, str]) -> str:
    """The script for a document. Running it and taking its `graph` gives the document again, whatever is in that.

    `modules` has the module of each installed pack. Nodes of other types are placed by their type's id. Documents with one
    canonical text give one script.
    """
    document = document_from(to_json(document))
    specs = {type_id: spec for type_id, spec in catalog.nodes.items() if spec.pack in modules and is_name(function_name(spec))}
    parts = [document.nodes, *(subgraph.nodes for subgraph in document.subgraphs.values())]
    used = {entry.type for nodes in parts for entry in nodes.values()}
    packs = {specs[type_id].pack for type_id in used if type_id in specs}
    builders = variables((f"add_{name}" for name in document.subgraphs), _OWN_NAMES)
    imported = imports({pack: modules[pack] for pack in packs}, {*_OWN_NAMES, *builders.values()})
    types = NodeTypes(specs, imported.aliases)
    taken = {*_OWN_NAMES, *builders.values(), *imported.aliases.values()}

    made, functions = [laid_out(_graph(document), "graph = ")], []
    for name, subgraph in document.subgraphs.items():
        lines = statements(subgraph, _receiver(name, taken), types, taken, indent=4)
        if lines:
            functions.append(_function(builders[f"add_{name}"], name, subgraph, lines, _receiver(name, taken)))
            made.append(f"{builders[f'add_{name}']}(graph)")
        else:
            made.append(laid_out(_subgraph(name, subgraph)))
    title = document.title or "A workflow"
    head = block([_docstring(f"{title}: built by calling nodes."), "", *imported.lines], 0)
    text = block([*made, "", *statements(document, "graph", types, taken)], 0)
    return "\n\n".join([head, *functions, text]) + _MAIN if functions else f"{head}\n{text}{_MAIN}"


def _graph(document: Document) -> Bracketed:
    title = [value(document.title)] if document.title else []
    return call("nodegraph.Graph", *title, **({"id": value(document.id)} if document.id else {}))


def _subgraph(name: str, subgraph: Subgraph) -> Bracketed:
    title = [value(subgraph.title)] if subgraph.title else []
    return call("graph.subgraph", value(name), *title, **({"file": value(subgraph.file)} if subgraph.file else {}))


def _receiver(name: str, taken: Collection[str]) -> str:
    return variables([name], taken)[name]


def _function(function: str, name: str, subgraph: Subgraph, lines: list[str], receiver: str) -> str:
    """The function that adds a subgraph to the graph."""
    first = laid_out(_subgraph(name, subgraph), f"{receiver} = ", 4)
    head = f"def {function}(graph: nodegraph.Graph) -> None:\n"
    return head + block([_docstring(f"{subgraph.title or name}."), first, *lines], 4)


def _docstring(text: str) -> str:
    plain = " ".join(text.split())
    fine = plain.isprintable() and not set(plain) & set('"\\') and len(plain) < 80
    return f'"""{plain}"""' if fine else '"""Built by calling nodes."""'
