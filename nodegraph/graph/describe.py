"""`python -m nodegraph.graph.describe PACK` prints a pack's part of the catalog, in its own process: it imports the pack."""

from __future__ import annotations

import json
import os
import sys

from nodegraph.graph.catalog import describe
from nodegraph.sdk.pack import installed_packs, load_pack


def main() -> None:
    name = sys.argv[1]
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a pack prints while it is imported must not end up in the catalog
    with out:
        json.dump(describe(load_pack(installed_packs()[name])), out)


if __name__ == "__main__":
    main()
