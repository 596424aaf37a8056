"""Questions that a run asks a person (`core/ask`): answered beforehand with --answer, or on the terminal."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console

from nodegraph.sdk.context import Asker, Question
from nodegraph.sdk.errors import NodeError

_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


def asker(answers: Mapping[str, str], console: Console, pause: Callable[[], AbstractContextManager[object]]) -> Asker | None:
    """Who answers a run's questions: `answers` by node, else the terminal, else (None) nobody.

    `pause` keeps the live view off the terminal while a person thinks.
    """
    at_terminal = console.is_terminal and sys.stdin.isatty()
    if not answers and not at_terminal:
        return None

    async def answer(question: Question) -> int:
        given = next((answers[name] for name in _names(question.node) if name in answers), None)
        if given is not None:
            return _index(given, question)
        if not at_terminal:
            raise nobody(question)
        with pause():
            return await _ask(question, console)

    return answer


def nobody(question: Question) -> NodeError:
    """There is nobody to ask."""
    hint = f"Answer beforehand: --answer {question.node.partition('/')[0]}=N."
    return NodeError(f"A person has to decide here: {question.text}", hint=hint)


def _names(path: str) -> list[str]:
    """A node's path, and those that it lies in: `a/b/c`, `a/b`, `a`."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _index(text: str, question: Question) -> int:
    """An answer as an index: a number, or the choice itself. Raises NodeError."""
    if text in question.choices:
        return question.choices.index(text)
    try:
        return int(text)
    except ValueError:
        expected = f"0 to {len(question.choices) - 1}, or one of the choices"
        raise NodeError("There is no such choice.", expected=expected, got=repr(text)) from None


async def _ask(question: Question, console: Console) -> int:
    folder = Path(tempfile.mkdtemp(prefix="nodegraph-ask-"))
    console.print(f"{question.node}: {question.text}", style="bold", markup=False)
    for i, (choice, picture) in enumerate(zip(question.choices, question.pictures, strict=True)):
        where = ""
        if picture is not None:
            file = folder / f"{i}{_ENDINGS.get(picture.media_type, '')}"
            file.write_bytes(picture.data)
            where = f"  {file}"
        console.print(f"  {i}  {choice}{where}", markup=False)
    while True:
        console.print(f"0 to {len(question.choices) - 1}: ", end="")
        text = await _line()
        if text is None:
            raise NodeError("The question was not answered.", got="the end of the input")
        try:
            chosen = _index(text.strip(), question)
        except NodeError:
            chosen = -1
        if 0 <= chosen < len(question.choices):
            return chosen
        console.print("That is none of them.")


async def _line() -> str | None:
    """A line from the terminal, read on a thread that does not keep the process alive; None at the end of the input."""
    loop, line = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def read() -> None:
        text = sys.stdin.readline() or None
        loop.call_soon_threadsafe(lambda: None if line.done() else line.set_result(text))

    threading.Thread(target=read, daemon=True).start()
    answer: str | None = await line
    return answer
