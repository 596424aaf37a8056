"""Workflows as data: the document, the catalog, type relations, and compiling one into a plan.

Knows no engine and imports no pack.
"""

from nodegraph.graph.catalog import Catalog, installed_catalog
from nodegraph.graph.compiling import compile_document, validate
from nodegraph.graph.document import Document, dump_document, load_document, parse_document, save_document
from nodegraph.graph.interface import PublicInput, public_inputs, used_inputs, with_inputs
from nodegraph.graph.plan import Plan, PlanLink, PlanNode, Wanted, with_bodies
from nodegraph.graph.subgraphs import node_spec

__all__ = [
    "Catalog",
    "Document",
    "Plan",
    "PlanLink",
    "PlanNode",
    "PublicInput",
    "Wanted",
    "compile_document",
    "dump_document",
    "installed_catalog",
    "load_document",
    "node_spec",
    "parse_document",
    "public_inputs",
    "save_document",
    "used_inputs",
    "validate",
    "with_bodies",
    "with_inputs",
]
