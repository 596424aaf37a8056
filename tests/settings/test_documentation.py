"""The documentation's table of settings is the model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegraph.settings.fields import known_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def table() -> str:
    """The table as it should stand in the documentation."""
    rows = ["| setting | default | takes | what it is |", "|---|---|---|---|"]
    for key, setting in known_settings().items():
        default = "the user data folder" if key == "data" else setting.text(setting.default)
        rows.append(f"| `{key}` | {default} | {setting.expected} | {setting.about} |")
    return "\n".join(rows) + "\n"


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not written yet")
def test_the_documentation_lists_every_setting_as_it_is() -> None:
    assert table() in PAGE.read_text("utf-8")


def test_every_setting_is_described_in_a_sentence() -> None:
    for setting in known_settings().values():
        assert setting.about[:1].isupper()
        assert setting.about.endswith(".")
        assert setting.expected
