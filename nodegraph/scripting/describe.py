"""`python -m nodegraph.scripting.describe PACK` prints a pack's stub as JSON, in its own process: it imports the pack."""

from __future__ import annotations

import importlib
import json
import os
import sys

from nodegraph.scripting.pack_stub import pack_stub
from nodegraph.sdk.pack import installed_packs, load_pack


def main() -> None:
    point = installed_packs()[sys.argv[1]]
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a pack prints while it is imported must not end up in the stub
    with out:
        pack = load_pack(point)
        stub = pack_stub(importlib.import_module(point.module), pack)
        json.dump({"text": stub.text, "sockets": stub.sockets, "nodes": len(pack.nodes)}, out)


if __name__ == "__main__":
    main()
