"""ComfyUI's workflows: `source` is what both formats are read into, `rules` the table from its classes to our nodes.

`ui` and `api` read; `wiring` follows links; `scope` converts one graph with the rules, `converting` a whole file.
"""

from nodegraph.importing.comfyui.converting import from_comfyui, is_comfyui

__all__ = ["from_comfyui", "is_comfyui"]
