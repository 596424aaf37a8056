"""The editor in a real browser: what journeys are made of. Positions come from the page's own canvas, so nothing is guessed."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from server.harness import ServerProcess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZES = {"desktop": (1400, 900), "phone": (390, 844)}
SHOTS = Path(os.environ.get("EDITOR_SHOTS", Path(__file__).parents[2] / ".shots"))
"""Where screenshots are kept to be looked at; git ignores the folder."""


class Editor:
    """A page with the editor in it, signed in, and what its console and its security policy complained of."""

    def __init__(self, page: Any, server: ServerProcess) -> None:
        self.page, self.server = page, server
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(f"{error}\n{error.stack}"))

    def start(self, path: str = "/") -> Editor:
        """Open the page and wait until a document is there or the page has decided what to show."""
        self.page.goto(self.server.url + path)
        self.wait("window.nodegraph?.ready === true")
        return self

    def wait(self, look: str, given: Any = None, seconds: float = 20.0) -> Any:
        """What an expression (or a function of `given`) is once it is true.

        The page's policy forbids the browser's own way of waiting.
        """
        end = time.monotonic() + seconds
        while not (found := self._look(look, given)):
            assert time.monotonic() < end, f"not within {seconds} s: {look} {self.complaints}"
            self.page.wait_for_timeout(25)
        return found

    def _look(self, look: str, given: Any) -> Any:
        from playwright.sync_api import Error

        try:
            return self.page.evaluate(look, given)
        except Error as error:
            if "context was destroyed" in str(error):  # another page is on its way
                return None
            raise

    # ---- the document ----

    def open(self, workflow: str | dict[str, Any]) -> None:
        """Open a saved workflow by its id, or a document as it is, in a tab of its own."""
        self.page.evaluate("(given) => nodegraph.open(given)", workflow)
        self.fit()

    @property
    def json(self) -> dict[str, Any]:
        """The current tab's document."""
        return dict(self.page.evaluate("nodegraph.tabs.current.value.store.json.value"))

    @property
    def nodes(self) -> dict[str, Any]:
        return dict(self.json["nodes"])

    def command(self, id_: str, given: Any = None) -> None:
        """Run a command of the registry, and wait until it is done or asks something."""
        look = """([id, given]) => {
          let over = false;
          const done = Promise.resolve(nodegraph.commands.run(id, given ?? undefined)).finally(() => (over = true));
          const asked = new Promise((resolve) => {
            const frame = () => (over || document.querySelector("dialog[open]") ? resolve() : requestAnimationFrame(frame));
            frame();
          });
          return Promise.race([done.then(() => {}), asked]);
        }"""
        self.page.evaluate(look, [id_, given])

    # ---- the canvas ----

    def fit(self) -> None:
        self.page.evaluate("nodegraph.canvas?.fit()")
        self.frame()

    def frame(self) -> None:
        """Wait until two frames were drawn."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element, on the screen."""
        box = self.page.locator(selector).first.bounding_box()
        assert box, selector
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def socket(self, end: str, side: str) -> tuple[float, float]:
        """Where a socket is: `socket("decode.image", "output")`."""
        node, name = end.split(".", 1)
        return self.middle(f'[data-of="{node}"][data-socket="{name}"][data-side="{side}"]')

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8, *, button: str = "left") -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down(button=button)
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=steps)
        mouse.move(*end, steps=steps)
        mouse.up(button=button)

    def wire(self, output: str, input_: str) -> None:
        """Drag a link from an output to an input."""
        self.drag(self.socket(output, "output"), self.socket(input_, "input"))

    def place(self, node: str) -> list[float]:
        """Where the document has a node."""
        return list(self.json["layout"]["nodes"][node])

    # ---- running ----

    def job(self) -> dict[str, Any] | None:
        """The row of the job that the current tab shows."""
        return self.page.evaluate("nodegraph.runs.get(nodegraph.tabs.current.value.job.value)?.row.value ?? null")

    def wait_for_job(self, *states: str, seconds: float = 120.0) -> dict[str, Any]:
        wanted = list(states or ("succeeded", "failed", "cancelled"))
        look = "(states) => states.includes(nodegraph.runs.get(nodegraph.tabs.current.value.job.value)?.row.value.state)"
        self.wait(look, wanted, seconds)
        job = self.job()
        assert job is not None
        return job

    def run(self, *states: str, seconds: float = 120.0) -> dict[str, Any]:
        """Press Run and wait for the job to end."""
        newest = next((job["id"] for job in self.server.get("/api/jobs?limit=1")["jobs"]), "")
        self.page.click("button.run")
        self.wait("(newest) => nodegraph.tabs.current.value.job.value > newest", newest, seconds)
        return self.wait_for_job(*states, seconds=seconds)

    def run_state(self, path: str) -> dict[str, Any]:
        look = "(path) => nodegraph.runs.get(nodegraph.tabs.current.value.job.value)?.node(path).value ?? null"
        return dict(self.page.evaluate(look, path) or {})

    def wait_for_node(self, path: str, *states: str) -> None:
        """Wait until the page shows a node of the current tab's job in one of these states."""
        job = "nodegraph.runs.get(nodegraph.tabs.current.value.job.value)"
        self.wait(f"([path, states]) => states.includes({job}?.node(path).value.state)", [path, list(states)])

    # ---- looking ----

    def shot(self, name: str) -> None:
        """Keep a screenshot, to be looked at."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))

    def axe(self, within: str | None = None) -> list[str]:
        """The serious and critical faults of accessibility that axe finds, as sentences."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, context=within) if within else Axe().run(self.page)
        rows = [row for row in found.response["violations"] if row["impact"] in ("serious", "critical")]
        return [f"{row['id']}: {row['help']}: {[node['html'][:160] for node in row['nodes'][:4]]}" for row in rows]

    def no_complaints(self) -> None:
        assert self.complaints == []


def sign_in(context: Any, server: ServerProcess) -> None:
    """Give a browser context a session, as the login page does with the token."""
    body = json.dumps({"token": server.token}).encode()
    _, headers, _ = server.send("POST", "/api/session", body, {"Content-Type": "application/json"})
    cookies = SimpleCookie(headers["Set-Cookie"]).values()
    same = {"url": server.url, "httpOnly": True, "sameSite": "Strict"}
    context.add_cookies([{"name": cookie.key, "value": cookie.value, **same} for cookie in cookies])


def module(name: str) -> str:
    """The address of a module of the editor, to be imported in the page: `import("/app/src/model/types.js")`."""
    assert re.fullmatch(r"[a-z/_-]+\.js", name)
    return f"/app/src/{name}"
