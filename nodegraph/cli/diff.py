"""`nodegraph diff`: what differs between two workflows, by node and input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.text import Text

from nodegraph.api.documents import read_document
from nodegraph.cli.show import DONE, FAILED, print_json, refuse, stdout
from nodegraph.cli.wording import ADDED, CHANGED, DIM, REMOVED, changed_text, plain, value_text
from nodegraph.editing import ABSENT, Change, diff
from nodegraph.editing.shapes import place, refs_in, scope_of
from nodegraph.sdk.errors import InvalidWorkflow, Problem


def diff_command(before: Path, after: Path, as_json: bool, with_layout: bool) -> int:
    """Show what differs; the exit code says whether anything does. Layout counts only where it is asked for."""
    documents, problems = [], []
    for path in (before, after):
        try:
            documents.append(read_document(path))
        except InvalidWorkflow as error:
            problems += [in_file(problem, path) for problem in error.problems]
    if problems:
        return refuse(problems, as_json, "These cannot be compared")
    found = diff(*documents)
    shown = found.changes if with_layout else found.meaning
    if as_json:
        meaning, layout = ([change.to_json() for change in changes] for changes in (found.meaning, found.layout))
        print_json({"status": "different" if shown else "equal", "changes": meaning, "layout": layout})
        return FAILED if shown else DONE
    console = stdout()
    for line in change_lines(shown):
        console.print(line, soft_wrap=True)
    hidden = len(found.changes) - len(shown)
    if hidden:
        places = "1 place" if hidden == 1 else f"{hidden} places"
        said = "The layout differs too" if shown else "Only the layout differs"
        console.print(Text(f"{said}: {places}. --layout shows them.", style=DIM))
    elif not shown:
        console.print("No differences.")
    return FAILED if shown else DONE


def in_file(problem: Problem, path: Path) -> Problem:
    """A problem that says which of several files it is in."""
    return problem if str(path) in problem.message else replace(problem, message=f"{path}: {problem.message}")


def change_lines(changes: Iterable[Change]) -> Iterable[Text]:
    """The changes as lines, those inside a subgraph under its name."""
    scope: tuple[str, ...] = ()
    for change in changes:
        inside = scope_of(change.path)
        if inside != scope and inside:
            yield Text(f"in subgraph {plain(inside[1])}", style="bold")
        scope = inside
        for line in _lines(change):
            yield Text("  ").append_text(line) if inside else line


_SIGNS = {"added": ("+", ADDED), "removed": ("-", REMOVED)}


def _lines(change: Change) -> Iterable[Text]:
    stem, _, verb = change.kind.rpartition("_")
    sign, style = _SIGNS.get(verb, ("~", CHANGED))
    path = change.path[len(scope_of(change.path)) :]
    if change.kind == "node_renamed":
        yield Text.assemble(("renamed ", CHANGED), f"{plain(change.before)} -> {plain(change.after)}")
        return
    line = Text.assemble((f"{sign} ", style))
    wording = _WORDING.get(stem)
    if wording is not None:
        yield line.append_text(wording(change, path))
    elif change.kind in ("node_added", "node_removed"):
        entry = change.after if verb == "added" else change.before
        yield line.append(plain(path[1]), style=f"bold {style}").append(f" ({plain(entry['type'])})")
        if verb == "added":
            yield from (Text(f"    {text}", style=DIM) for text in _content(entry))
    elif change.kind in ("node_disabled", "node_enabled"):
        yield line.append(plain(path[1])).append(f"  {verb}", style=style)
    else:
        yield line.append(plain(place(path))).append("  ").append_text(_values(change))


def _content(entry: dict[str, Any]) -> Iterable[str]:
    yield from (f"{plain(key)} {value_text(value)}" for key, value in entry.get("inputs", {}).items())
    yield from (f"{plain(key)} <- {_linked(link)}" for key, link in entry.get("links", {}).items())
    yield from (["disabled"] if entry.get("disabled") else [])


def _values(change: Change) -> Text:
    """What was and what is: both, or the only one."""
    if change.before is ABSENT or change.after is ABSENT:
        return Text(value_text(change.after if change.before is ABSENT else change.before))
    return changed_text(change.before, change.after)


def _link(change: Change, path: tuple[str, ...]) -> Text:
    line = Text(f"{plain(place(path))} <- ")
    before, after = refs_in(change.before), refs_in(change.after)
    if not before or not after:
        return line.append(_linked(change.after if after else change.before))
    if isinstance(change.before, str) and isinstance(change.after, str):
        return line.append(plain(change.after), ADDED).append(f"  (was {plain(change.before)})", DIM)
    items = [(f"-{plain(ref)}", REMOVED) for ref in before if ref not in after]
    items += [(f"+{plain(ref)}", ADDED) for ref in after if ref not in before]
    if not items:
        return line.append(_linked(change.after)).append(f"  (was {_linked(change.before)})", DIM)
    for text, style in items:
        line.append(text, style).append(" ")
    line.rstrip()
    return line


def _linked(link: Any) -> str:
    refs = ", ".join(plain(ref) for ref in refs_in(link))
    return f"[{refs}]" if isinstance(link, list) else refs


def _public_input(change: Change, path: tuple[str, ...]) -> Text:
    line = Text(f"input {plain('.'.join(path[2:]))}  ")
    if len(path) > 3:
        return line.append_text(_values(change))
    item = change.after if change.before is ABSENT else change.before
    title = f"  {value_text(item['title'])}" if item.get("title") else ""
    return Text(f"input {plain(path[2])} -> {', '.join(map(plain, item['to']))}{title}")


def _public_output(change: Change, path: tuple[str, ...]) -> Text:
    line = Text(f"output {plain(path[2])} <- ")
    if change.before is ABSENT or change.after is ABSENT:
        return line.append(_linked(change.after if change.before is ABSENT else change.before))
    return line.append(plain(change.after), ADDED).append(f"  (was {plain(change.before)})", DIM)


def _subgraph(change: Change, path: tuple[str, ...]) -> Text:
    entry = change.after if change.before is ABSENT else change.before
    count = len(entry.get("nodes", {}))
    holds = entry.get("file") or ("1 node" if count == 1 else f"{count} nodes")
    return Text(f"subgraph {plain(path[1])} ({plain(holds)})")


def _order(change: Change, path: tuple[str, ...]) -> Text:
    return Text(f"{path[1]} reordered: {', '.join(map(plain, change.after))}")


_WORDING: dict[str, Callable[[Change, tuple[str, ...]], Text]] = {
    "link": _link,
    "interface_input": _public_input,
    "interface_output": _public_output,
    "subgraph": _subgraph,
    "interface_inputs": _order,
    "interface_outputs": _order,
}
