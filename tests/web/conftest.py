"""A server with the starter model and a browser for each module of tests; a signed-in page for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server.conftest import fresh_data, site  # noqa: F401
from server.harness import ServerProcess

from web.browser import CHROMIUM, SIZES, Editor, sign_in

EAGER = {"NODEGRAPH_WORKERS__NICE": "0"}
"""Workers that do not stand back for the browser, which is busy all the time."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, data_folder: Path, site: Path) -> Iterator[ServerProcess]:  # noqa: F811
    """A server with an empty data folder, for all tests of a module."""
    with ServerProcess(fresh_data(tmp_path_factory.mktemp("server") / "data", data_folder), site=site, env=EAGER) as running:
        yield running


@pytest.fixture
def new_server(tmp_path: Path, data_folder: Path, site: Path) -> Iterator[Callable[..., ServerProcess]]:  # noqa: F811
    """Makes servers that are not started yet, each with a data folder of its own."""
    made: list[ServerProcess] = []

    def make(*arguments: str) -> ServerProcess:
        made.append(ServerProcess(fresh_data(tmp_path / f"data{len(made)}", data_folder), *arguments, site=site, env=EAGER))
        return made[-1]

    yield make
    for running in made:
        if hasattr(running, "process") and running.process.poll() is None:
            running.kill()


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
def new_editor(browser: Any, server: ServerProcess) -> Iterator[Callable[..., Editor]]:
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
