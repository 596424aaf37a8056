"""Workflows of other programs: parsed files and the catalog in, a document and a report out.

Pure functions that know node types by name only: no pack is imported, nothing is read or run. One room per program.
"""

from nodegraph.importing.comfyui import from_comfyui, is_comfyui
from nodegraph.importing.reading import read_foreign_json
from nodegraph.importing.report import Imported, Report, Row

__all__ = ["Imported", "Report", "Row", "from_comfyui", "is_comfyui", "read_foreign_json"]
