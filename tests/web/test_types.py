"""Whether the browser's idea of what may be connected is the server's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from web.browser import Editor, module

pytestmark = pytest.mark.slow

CASES = json.loads((Path(__file__).parents[1] / "type_relations.json").read_text("utf-8"))


def test_every_case_of_the_shared_table_holds_in_the_browser(editor: Editor) -> None:
    found = editor.page.evaluate(
        """async ([where, cases]) => {
          const { relate } = await import(where);
          return cases.map((one) => relate(one.source, one.target)?.how ?? null);
        }""",
        [module("model/types.js"), CASES],
    )
    wrong = [case for case, how in zip(CASES, found, strict=True) if how != case["relation"]]
    assert wrong == []
    assert len(CASES) >= 100
