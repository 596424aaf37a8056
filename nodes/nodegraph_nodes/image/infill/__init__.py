"""Filling holes in pictures, as a library: what lies in the hole is made of what lies around it, by one of several methods."""

from nodegraph_nodes.image.infill.filling import Infill, filled

__all__ = ["Infill", "filled"]
