"""A server with the starter model and a browser for each module of tests; a signed-in page for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from server.conftest import new_server, server, site  # noqa: F401
from server.harness import ServerProcess

from web.browser import CHROMIUM, SIZES, Editor, sign_in


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium, or put one on the PATH")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as tools:
        launched = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def new_editor(browser: Any, server: ServerProcess) -> Iterator[Callable[..., Editor]]:  # noqa: F811
    """Makes editors that are not started yet: `new_editor("phone", "dark")`. Each is like another device."""
    contexts = []

    def make(size: str = "desktop", scheme: str = "light", on: ServerProcess | None = None, **more: Any) -> Editor:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=size == "phone", locale="en-GB", **more
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        sign_in(context, on or server)
        return Editor(context.new_page(), on or server)

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def editor(new_editor: Callable[..., Editor]) -> Iterator[Editor]:
    """The editor at desktop size, with the text-to-image workflow open."""
    made = new_editor().start()
    made.open("text_to_image")
    yield made
    made.no_complaints()
