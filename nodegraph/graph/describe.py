"""`python -m nodegraph.graph.describe PACK...` imports packs and prints their parts of the catalog, a line each.

Of a pack that cannot be imported the line says why.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator

from nodegraph.graph.catalog import describe
from nodegraph.sdk.pack import installed_packs, load_pack


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a pack prints while it is imported must not end up in the catalog
    with out:
        for line in _lines(sys.argv[1:]):
            print(line, file=out, flush=True)


def _lines(names: list[str]) -> Iterator[str]:
    points = installed_packs()
    for name in names:
        try:
            yield json.dumps(describe(load_pack(points[name])))
        except Exception:
            yield json.dumps({"pack": name, "error": traceback.format_exc().strip()})


if __name__ == "__main__":
    main()
