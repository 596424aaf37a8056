"""Names for saved files: harmless on every system, and told in a header as RFC 6266 and RFC 8187 say."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from nodegraph.server.file_names import attachment, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a red apple.png", "a red apple.png"),
        ("../../etc/passwd", "passwd.png"),
        ("C:\\Users\\me\\photo.PNG", "photo.png"),
        ("CON", "_CON.png"),
        ("nul.txt.png", "_nul.txt.png"),
        ("LPT1.png", "_LPT1.png"),
        ("run.exe", "run.exe.png"),
        ("a\0b\r\nc.png", "a_b_c.png"),
        (".png", "png.png"),
        ("...", "file.png"),
        ("\u202egpj.exe", "_gpj.exe.png"),
        ("日本語.png", "日本語.png"),
        ("e\u0301.png", "é.png"),
    ],
)
def test_names_become_harmless(name: str, safe: str) -> None:
    assert safe_name(name, "image/png") == safe


def test_without_a_type_a_name_keeps_its_ending() -> None:
    assert safe_name("notes.tar.gz") == "notes.tar.gz"
    assert safe_name("x" * 5000 + ".png") == "x" * 180 + ".png"
    assert safe_name("aux.png") == "_aux.png"


@given(st.text(max_size=400), st.sampled_from(["image/png", "application/octet-stream", "text/html", None]))
def test_whatever_comes_in_one_short_name_in_this_folder_comes_out(text: str, media_type: str | None) -> None:
    name = safe_name(text, media_type)
    assert name.encode()
    assert len(name.encode()) < 200
    assert PurePosixPath(name).name == name == PureWindowsPath(name).name
    assert not name.startswith(".")
    assert not name.endswith((".", " "))
    assert all(char >= " " for char in name)
    if media_type == "text/html":
        assert name.endswith(".bin")


@given(st.text(min_size=1, max_size=100))
def test_the_header_says_the_name_to_others_parsers(text: str) -> None:
    name = safe_name(text, "image/png")
    header = attachment(name)
    assert header.isascii()
    assert "\n" not in header
    kind, options = parse_options_header(header)
    assert kind == "attachment"
    assert options["filename"] == name
    message = EmailMessage()
    message["Content-Disposition"] = header
    assert message.get_content_disposition() == "attachment"
