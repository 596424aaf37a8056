"""The first-party node packs: a folder each, the sockets they share in `types.py`."""
