"""Signing in: by the address that the server prints, or by the token."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from server.harness import ServerProcess

from web.browser import Editor

pytestmark = pytest.mark.slow


def printed_address(server: ServerProcess) -> str:
    found = re.search(r"http://\S+", server.first_line)
    assert found
    return found[0]


def test_the_printed_address_signs_in_once_and_leaves_the_address_bar(
    browser: Any, new_server: Callable[..., ServerProcess]
) -> None:
    server = new_server().start()
    first, second = browser.new_context(), browser.new_context()
    editor = Editor(first.new_page(), server)
    editor.page.goto(f"{printed_address(server)}&form=text_to_image")
    editor.wait("window.nodegraph?.ready === true")
    assert editor.page.url.split("?")[0] == f"{server.url}/"
    assert "login" not in editor.page.url
    assert editor.page.evaluate("document.cookie") == ""
    editor.page.reload()
    editor.wait("window.nodegraph?.ready === true")
    editor.no_complaints()
    answer = second.new_page().goto(printed_address(server))
    assert answer.status == 401
    first.close()
    second.close()


def test_a_wrong_token_is_told_and_the_right_one_opens_the_editor(browser: Any, server: ServerProcess) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    editor = Editor(context.new_page(), server)
    editor.page.goto(server.url)
    assert editor.axe() == []
    editor.page.fill("input", "not the token at all")
    editor.page.keyboard.press("Enter")
    editor.page.wait_for_selector("#note:not([hidden])")
    editor.shot("sign-in-phone-dark")
    editor.page.fill("input", str(server.token))
    editor.page.keyboard.press("Enter")
    editor.wait("window.nodegraph?.ready === true")
    context.close()
