"""The Python client of a nodegraph server."""
