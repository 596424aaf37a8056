"""Workflows and node types as Python source: scripts that build a document, and stubs that editors and type checkers read.

Text only: nothing here runs a script or adds to a graph.
"""

from nodegraph.scripting.export import python_script

__all__ = ["python_script"]
