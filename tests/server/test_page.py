"""The page in a real browser: signed in by the address that the server prints, it shows jobs as they come and go."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from server.harness import ServerProcess, chain, until

playwright = pytest.importorskip("playwright.async_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium, or put one on the PATH"),
]

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@asynccontextmanager
async def browsing(size: str = "desktop", scheme: str = "light") -> AsyncIterator[tuple[Any, list[str]]]:
    """A page, and what its console and its security policy complained of."""
    width, height = SIZES[size]
    async with playwright.async_playwright() as tools:
        browser = await tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            yield page, complaints
        finally:
            await browser.close()


def printed_address(server: ServerProcess) -> str:
    found = re.search(r"http://\S+", server.first_line)
    assert found
    return found[0]


@pytest.fixture
def shown(new_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A server of the test's own: the address that it prints works once."""
    return new_server().start()


async def test_the_printed_address_signs_in_once_and_leaves_the_address_bar(shown: ServerProcess) -> None:
    async with browsing() as (page, complaints):
        await page.goto(printed_address(shown))
        await page.wait_for_function("document.getElementById('connection')?.textContent === 'Connected'")
        assert page.url == f"{shown.url}/"
        assert await page.evaluate("document.cookie") == ""
        await page.reload()
        await page.wait_for_function("document.getElementById('connection')?.textContent === 'Connected'")
        assert complaints == []
    async with browsing() as (page, _):
        answer = await page.goto(printed_address(shown))
        assert answer.status == 401


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
async def test_jobs_appear_finish_and_can_be_looked_at(shown: ServerProcess, size: str, scheme: str) -> None:
    async with browsing(size, scheme) as (page, complaints):
        await page.goto(printed_address(shown))
        id_ = shown.submit(chain(["slow"], seconds=2.0))
        await page.wait_for_selector("#running li progress")
        shown.wait(id_)
        await page.click("#done li button")
        await page.wait_for_selector("#details[open] table")
        await page.keyboard.press("Escape")
        wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, "nothing may have to be scrolled sideways"
        assert complaints == []


async def test_a_job_is_cancelled_and_the_queue_paused_by_keyboard(shown: ServerProcess) -> None:
    async with browsing() as (page, _):
        await page.goto(printed_address(shown))
        id_ = shown.submit(chain(["long"], seconds=60.0))
        await page.wait_for_selector("#running li button")
        await page.focus("#running li button")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#done li button")
        assert shown.wait(id_)["state"] == "cancelled"
        await page.focus("#pause")
        await page.keyboard.press("Space")
        until(lambda: shown.get("/api/queue")["paused"])


async def test_jobs_go_by_their_prompt_and_keep_the_focus_while_they_run(shown: ServerProcess) -> None:
    workflow = chain(["a fox", *(f"step {number}" for number in range(30))], seconds=0.1)
    workflow["interface"]["inputs"] = {"prompt": {"to": ["s0.label"]}}
    async with browsing() as (page, complaints):
        await page.goto(printed_address(shown))
        id_ = shown.submit(workflow, inputs={"prompt": "a fox"})
        await page.wait_for_selector("#running li button")
        assert await page.inner_text("#running .title") == "a fox"
        await page.focus("#running li button")
        await page.locator("#running .dim", has_text=re.compile(r"^s(1\d|2\d)\b")).wait_for()
        assert await page.evaluate("document.activeElement.getAttribute('aria-label')") == "Cancel: a fox"
        shown.wait(id_)
        await page.wait_for_selector("#done li button")
        assert await page.inner_text("#done .title") == "a fox"
        assert complaints == []


async def test_a_paused_job_is_shown_and_goes_on(shown: ServerProcess) -> None:
    async with browsing() as (page, _):
        await page.goto(printed_address(shown))
        shown.ask("POST", "/api/queue/pause")
        id_ = shown.submit(chain(["one"]))
        shown.ask("POST", f"/api/jobs/{id_}/pause")
        await page.get_by_role("button", name="Go on: Chain").click()
        shown.wait(id_, "queued")
        await page.get_by_role("button", name="Go on with the queue").click()
        assert shown.wait(id_)["state"] == "succeeded"


async def test_the_page_has_no_accessibility_faults(shown: ServerProcess) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright")
    shown.wait(shown.submit(chain(["one"])))
    async with browsing() as (page, _):
        await page.goto(printed_address(shown))
        await page.wait_for_selector("#done li button")
        results = await axe.Axe().run(page)
        assert results.violations_count == 0, results.generate_report()


async def test_a_question_of_a_job_is_answered_with_a_click(shown: ServerProcess) -> None:
    nodes = {
        "options": {"type": "core/split_lines", "version": 1, "inputs": {"value": "red\ngreen\nblue"}},
        "ask": {
            "type": "core/ask",
            "version": 1,
            "inputs": {"question": "Which colour?"},
            "links": {"options": "options.texts"},
        },
        "page": {"type": "busy/page", "version": 1, "links": {"text": "ask.chosen"}},
    }
    workflow = {"nodegraph": 1, "title": "Ask", "nodes": nodes, "interface": {"outputs": {"page": "page.artifact"}}}
    async with browsing() as (page, _):
        await page.goto(printed_address(shown))
        id_ = shown.submit(workflow)
        await page.click("#running .question button:has-text('green')")
        job = shown.wait(id_)
        assert job["state"] == "succeeded", job
        await page.wait_for_selector("#done li button")
    status, content = shown.ask("GET", job["outputs"]["page"][0]["url"])
    assert (status, content) == (200, b"green")
