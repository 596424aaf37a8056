"""`nodegraph models list|add|verify`: the models that workflows can name, and whether their files are whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nodegraph.api.paths import data_folder, roots
from nodegraph.cli.show import DONE, FAILED, print_json, print_problems, refuse, size, stderr, stdout, table
from nodegraph.cli.wording import plain
from nodegraph.sdk.errors import NodeError, Problem, nearest
from nodegraph.sdk.writing import NotWritten
from nodegraph.store.files import Digests
from nodegraph.store.model_folders import Layout, kind_by_folder, layout_of, register, registered, unregister
from nodegraph.store.models import ModelInfo, Verified, list_models, verify_model

_PROGRAMS = {"comfyui": "a ComfyUI folder", "a1111": "an A1111 folder", "folder": "a plain folder"}


def list_command(as_json: bool, data: Path | None, models: Sequence[Path]) -> int:
    """Show the models in all folders that are searched."""
    data = data_folder(data)
    found = list_models(roots(data, models=models).models, Digests(data / "digests.json"))
    missing = [row.folder for row in registered(data) if row.layout is None]
    if as_json:
        print_json({"models": list(map(_row, found)), "missing_folders": list(map(str, missing))})
        return DONE
    rows = table("name", "kind", "family", "size", "digest", "folder", right=["size"])
    for info in found:
        digest = info.sha256[:12] if info.sha256 else "not known"
        rows.add_row(plain(info.name), info.kind or "", info.family or "", size(info.size_bytes), digest, plain(str(info.root)))
    stdout().print(rows)
    for info in found:
        if info.trouble:
            stderr().print(plain(f"{info.path}: {info.trouble}"), style="yellow", soft_wrap=True)
    _note(missing)
    return DONE


def add_command(folder: Path, remove: bool, as_json: bool, data: Path | None) -> int:
    """Register another program's model folder, or take one off the list; nothing in it is touched."""
    data = data_folder(data)
    place = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100  links stay: what they lead to may change
    try:
        return _remove(place, as_json, data) if remove else _add(place, as_json, data)
    except NodeError as error:
        return refuse([Problem("broken_register", str(error), hint=error.hint)], as_json, "Nothing was changed")
    except NotWritten as error:
        return refuse([error.problem], as_json, "Nothing was changed")
    except OSError as error:
        message = f"{place} cannot be registered ({error.strerror or error})."
        return refuse(
            [Problem("not_registered", message, hint="Is it a folder that you may read?")], as_json, "Nothing was changed"
        )


def _add(place: Path, as_json: bool, data: Path) -> int:
    if not place.is_dir():
        message = f"{place} is a file." if place.exists() else f"There is no folder {place}."
        return refuse([Problem("no_folder", message, hint="Name a folder that holds models.")], as_json, "Nothing was changed")
    layout = layout_of(place)
    new = register(data, place)
    found = list_models(layout.folders)
    if as_json:
        folders = [
            {"folder": str(root), "kind": kind_by_folder(root), "models": _count(found, root)} for root in layout.folders
        ]
        print_json({"folder": str(place), "layout": layout.kind, "added": new, "folders": folders})
        return DONE
    print(plain(f"{place} is {_PROGRAMS[layout.kind]}{'' if new else ', and was registered before'}."))
    _show_layout(layout, found)
    return DONE


def _remove(place: Path, as_json: bool, data: Path) -> int:
    gone = unregister(data, place)
    if not gone:
        known = [str(row.folder) for row in registered(data)]
        hint = nearest(str(place), known, "Registered are") or "No folder is registered."
        problem = Problem("not_registered", f"{place} is not registered.", hint=hint)
        return refuse([problem], as_json, "Nothing was changed")
    if as_json:
        print_json({"folder": str(place), "removed": True})
    else:
        print(plain(f"{place} is no longer searched. Nothing in it was touched."))
    return DONE


def verify_command(name: str | None, as_json: bool, data: Path | None, models: Sequence[Path]) -> int:
    """Read models whole and compare them with what is known of them. Exit code 1: something is wrong with one."""
    data = data_folder(data)
    digests = Digests(data / "digests.json")
    found = list_models(roots(data, models=models).models, digests)
    if name is not None:
        every = [info.name for info in found]
        found = [info for info in found if name in (info.name, info.name.removesuffix(".safetensors"))][:1]
        if not found:
            hint = nearest(name, every, "There are") or "`nodegraph models list` shows what there is."
            return refuse([Problem("no_model", f"There is no model {name!r}.", hint=hint)], as_json, "Nothing was verified")
    done: list[Verified] = []
    try:
        with _progress(sum(info.size_bytes for info in found)) as reading:
            for info in found:
                done.append(verify_model(info, digests, reading(info)))
                if not as_json:
                    _show(done[-1])
    finally:
        digests.remember()  # what has been read need not be read again, also after Ctrl-C
    if as_json:
        print_json({"models": [_verified_row(one) for one in done]})
    return FAILED if any(one.problems for one in done) else DONE


# ---- words ----


def _row(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "kind": info.kind,
        "family": info.family,
        "bytes": info.size_bytes,
        "sha256": info.sha256,
        "folder": str(info.root),
        "path": str(info.path),
        "trouble": info.trouble,
    }


def _verified_row(done: Verified) -> dict[str, Any]:
    return {
        "name": done.info.name,
        "path": str(done.info.path),
        "bytes": done.info.size_bytes,
        "sha256": done.sha256,
        "compared_with": list(done.against),
        "ok": not done.problems,
        "problems": [problem.to_json() for problem in done.problems],
    }


def _show(done: Verified) -> None:
    if done.problems:
        print_problems(done.problems, plain(f"{done.info.path}: not as it should be"))
        return
    words = {"remembered": "as it was when it was last read", "sidecar": "as the .sha256 beside it says"}
    compared = " and ".join(words[one] for one in done.against) or "whole; its digest is now remembered"
    stdout().print(plain(f"{done.info.name}: {compared} ({done.sha256})"), soft_wrap=True)


def _show_layout(layout: Layout, found: list[ModelInfo]) -> None:
    rows = table("folder", "kind", "models", right=["models"])
    for root in layout.folders:
        rows.add_row(plain(str(root)), kind_by_folder(root) or "", str(_count(found, root)))
    stdout().print(rows)


def _count(found: list[ModelInfo], root: Path) -> int:
    return sum(info.root == root for info in found)


def _note(missing: list[Path]) -> None:
    for folder in missing:
        stderr().print(plain(f"{folder} is registered and not there now, so it was skipped."), style="yellow", soft_wrap=True)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[ModelInfo], Callable[[int], None] | None]]:
    """A line that says how far the reading is, where somebody can see it."""
    console = stderr()
    if not console.is_terminal:
        yield lambda info: None
        return
    done = 0
    with console.status("reading") as status:

        def reading(info: ModelInfo) -> Callable[[int], None]:
            def more(nbytes: int) -> None:
                nonlocal done
                done += nbytes
                status.update(f"reading {plain(info.name)}: {size(done)} of {size(total)}")

            return more

        yield reading
