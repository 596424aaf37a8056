"""Files that documents name: where they may lie, what they hold, and their sha256 remembered while they stay unchanged.

A name in a document is looked up below the configured roots only; a path given on the command line may lie anywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from nodegraph.sdk.errors import NodeError, nearest
from nodegraph.sdk.gguf import read_gguf_header
from nodegraph.sdk.writing import write_atomically

Signature = tuple[int, int, int, int]
MODEL_ENDINGS = (".safetensors", ".gguf")
_CHUNK = 1 << 22
_MANY = 10_000  # files of a folder whose digests are not worth remembering one by one
_LONGEST_HEADER = 100_000_000  # as safetensors itself has it
_UNSAFE = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
_MODEL_PARTS = frozenset({".safetensors", ".gguf", ".json", ".txt", ".model", ".gz"})


def signature(path: Path) -> Signature:
    """What tells that a file is unchanged: device, inode, size, modification time in nanoseconds."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


class Digests:
    """sha256 digests of files, remembered by signature, in memory and (given a file) across processes."""

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._known: dict[str, str] = {}
        self._fresh = False
        if memory is not None:
            try:
                self._known = dict(json.loads(memory.read_text("utf-8")))
            except (OSError, ValueError, TypeError):
                self._known = {}

    def of(self, path: Path, progress: Callable[[int], None] | None = None, *, data: bool = False) -> str:
        """The sha256 of a file; of a model in several files, that of their names and digests.

        data: a folder is no model, and all that lies in it counts. `progress` hears of bytes read.
        """
        if data and path.is_dir():
            return self._of_folder(path, progress)
        parts = model_parts(path)
        if parts == [path]:
            return self._of_file(path, progress)
        base = path if path.is_dir() else path.parent
        rows = (f"{part.relative_to(base).as_posix()}\0{self._of_file(part, progress)}\n" for part in parts)
        return hashlib.sha256("".join(rows).encode()).hexdigest()

    def known(self, path: Path) -> str | None:
        """The digest that `of` would give, where it is remembered; no content is read."""
        try:
            return self.of(path) if all(_key(part) in self._known for part in model_parts(path)) else None
        except OSError:
            return None

    def read_again(self, file: Path, progress: Callable[[int], None] | None = None) -> tuple[str, str | None]:
        """The sha256 of a file as it is now, and what was remembered of it, which stays as it was."""
        key, now = _key(file), _sha256(file, progress)
        before = self._known.get(key)
        if key != _key(file):  # replaced while it was read
            return now, None
        if before is None:
            self._known[key], self._fresh = now, True
        return now, before

    def _of_folder(self, folder: Path, progress: Callable[[int], None] | None) -> str:
        """Of a folder with many files one digest is remembered, not one for each of them."""
        parts = folder_parts(folder)
        key = f"folder:{signature_of(folder, parts)}"
        if key not in self._known:
            read = _sha256 if len(parts) > _MANY else self._of_file
            whole = hashlib.sha256()
            for part in parts:
                row = f"{part.relative_to(folder).as_posix()}\0{read(part, progress)}\n"
                whole.update(row.encode("utf-8", "surrogateescape"))
            self._known[key], self._fresh = whole.hexdigest(), True
        return self._known[key]

    def _of_file(self, path: Path, progress: Callable[[int], None] | None) -> str:
        key = _key(path)
        if key not in self._known:
            self._known[key] = _sha256(path, progress)
            self._fresh = True
        return self._known[key]

    def remember(self) -> None:
        """Write new digests to the memory file, if there is one and anything is new."""
        if self._memory is not None and self._fresh:
            with contextlib.suppress(OSError):  # where nothing can be written, files are read again next time
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self._memory, json.dumps(self._known).encode())
            self._fresh = False


def _key(path: Path) -> str:
    return ":".join(map(str, signature(path)))


def _sha256(path: Path, progress: Callable[[int], None] | None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            if progress:
                progress(len(chunk))
    return digest.hexdigest()


def model_parts(path: Path) -> list[Path]:
    """The files that say what a model computes, in a fixed order.

    Of a folder: weights, configs and vocabularies. Of a file: itself, and those in the folder `NAME.config` beside it, where
    there is one.
    """
    if path.is_dir():
        return _parts_below(path)
    sidecar = path.with_suffix(".config")
    return [path, *(_parts_below(sidecar) if sidecar.is_dir() else [])]


def parts_of(path: Path, *, data: bool) -> list[Path]:
    """The files that stand behind a name in a document. data: a folder is no model, and all that lies in it counts."""
    return folder_parts(path) if data and path.is_dir() else model_parts(path)


def folder_parts(folder: Path) -> list[Path]:
    """All files below a folder, in a fixed order, but for hidden ones and for links that lead out of it."""
    found: list[Path] = []
    inside = folder.resolve()
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(place, name) for name in sorted(files) if not name.startswith(".")):
            if path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(inside)):
                found.append(path)
    return found


def signature_of(folder: Path, parts: Sequence[Path]) -> str:
    """What tells that a folder is unchanged: the names and signatures of what lies in it, as one digest."""
    rows = hashlib.sha256()
    for part in parts:
        rows.update(f"{part.relative_to(folder).as_posix()}\0{_key(part)}\n".encode("utf-8", "surrogateescape"))
    return rows.hexdigest()


def _parts_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (name for name in files if not name.startswith("."))
        found += [Path(place, name) for name in visible if PurePath(name).suffix in _MODEL_PARTS]
    return sorted(found)


@dataclass(frozen=True)
class Roots:
    """Where named files and models are looked up, in order, and which paths the command line has allowed besides."""

    files: Sequence[Path] = ()
    models: Sequence[Path] = ()
    allowed: frozenset[str] = field(default_factory=frozenset)
    workflows: Sequence[Path] = ()

    def allowing(self, paths: Iterable[str]) -> Roots:
        return replace(self, allowed=self.allowed | frozenset(paths))

    def beside(self, file: Path | None) -> Roots:
        """The same for a document that lies in a file: what it names may lie beside it, too."""
        if file is None:
            return self
        folders = tuple(dict.fromkeys((file.parent, Path(os.path.realpath(file)).parent)))  # of a link, and of what it leads to
        return replace(self, files=(*folders, *self.files), workflows=(*folders, *self.workflows))

    def find_workflow(self, name: str, named_in: Path | None = None) -> Path:
        """The workflow file that a document names as a subgraph: beside the file that names it, else in the roots.

        Raises NodeError.
        """
        if named_in is not None and any(named_in.resolve().is_relative_to(root.resolve()) for root in self.workflows):
            with contextlib.suppress(OSError, ValueError):  # too long, or with characters that no name has
                near = (named_in.parent / name).resolve()
                if near.is_file() and any(near.is_relative_to(root.resolve()) for root in self.workflows):
                    return near
        path = self._find(name, self.workflows, ("",), "workflow", "Put it beside the workflow, or into one of: {roots}")
        if not path.is_file():
            raise NodeError(f"{path} is a folder.", expected="a workflow file", got="a folder")
        return path

    def find_file(self, name: str) -> Path:
        """The file that a document names. Raises NodeError."""
        return self._find(name, self.files, ("",), "file", "Put it into one of: {roots}")

    def may_read(self, name: str, typed: Iterable[str] = ()) -> bool:
        """Whether a document would get to read this file by its own doing: it is there, and nobody typed it."""
        try:
            return name not in typed and self.find_file(name).exists()
        except NodeError:
            return False

    def find_model(self, name: str) -> Path:
        """The model that a document names: a folder, or a `.safetensors` or `.gguf` file. Raises NodeError."""
        hint = "Put the model into one of: {roots}"
        path = self._find(name, self.models, ("", *MODEL_ENDINGS), "model", hint, self.model_names())
        check_model(path)
        return path

    def model_names(self) -> list[str]:
        """The models that lie in the roots, by the name a document gives."""
        found = (path for root in self.models if root.is_dir() for path in sorted(root.iterdir()))
        return [path.name for path in found if path.is_dir() or path.suffix in MODEL_ENDINGS]

    def _find(
        self, name: str, roots: Sequence[Path], endings: Sequence[str], what: str, hint: str, known: Sequence[str] = ()
    ) -> Path:
        if name in self.allowed:
            path = Path(name).expanduser().absolute()
            if path.exists():
                return path
            raise NodeError(f"There is no {what} {path}.")
        for root in roots:
            for ending in endings:
                try:
                    path = (root / (name + ending)).resolve()
                    found = name and path.exists()
                except (OSError, ValueError):  # too long, or with characters that no name has
                    continue
                if not path.is_relative_to(root.resolve()):
                    hint = "Use a name below the configured folders, or give the path on the command line."
                    raise NodeError(f"The {what} {name!r} lies outside the folders that documents may read.", hint=hint)
                if found:
                    return path
        alike = nearest(
            _bare(name, endings), [_bare(other, endings) for other in known], "There are"
        )  # endings are no likeness
        advice = alike if known else ""
        where = hint.format(roots=", ".join(map(str, roots)) or "(no folder is configured)")
        shown = name if len(name) <= 100 else name[:97] + "..."
        raise NodeError(f"There is no {what} {shown!r}.", hint=f"{advice} {where}.".strip())


def _bare(name: str, endings: Sequence[str]) -> str:
    """A name without the ending that it may be given without."""
    return next((name.removesuffix(ending) for ending in endings if ending and name.endswith(ending)), name)


def check_model(path: Path) -> None:
    """Refuse what is not a whole safetensors or GGUF model. Raises NodeError that names the file and what to do."""
    if path.is_dir():
        weights = [part for part in sorted(path.rglob("*")) if part.suffix == ".safetensors"]
        if not weights:
            unsafe = [part.name for part in sorted(path.rglob("*")) if part.suffix in _UNSAFE]
            raise NodeError(_no_weights(path, unsafe), hint="Convert the weights to safetensors first." if unsafe else None)
        for part in weights:
            check_safetensors(part)
    elif path.suffix == ".gguf":
        read_gguf_header(path)
    elif path.suffix in _UNSAFE:
        hint = "Pickled checkpoints can run any code when opened. Convert it to safetensors first."
        raise NodeError(f"{path.name} is not a safetensors file.", hint=hint)
    else:
        check_safetensors(path)


def _no_weights(path: Path, unsafe: list[str]) -> str:
    found = f"only {', '.join(unsafe[:3])}" if unsafe else "none"
    return f"The model folder {path.name} has no safetensors weights, {found}."


def check_safetensors(path: Path) -> None:
    """Read a safetensors header (8-byte little-endian length, JSON, data) and compare it with the file's size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        plausible = 2 <= length <= _LONGEST_HEADER
        header = file.read(length) if plausible else b""
    hint = "Convert it, if it is a pickled checkpoint; download it again, if it should be safetensors."
    try:
        tensors = json.loads(header)
        ends = [int(item["data_offsets"][1]) for name, item in tensors.items() if name != "__metadata__"]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        if plausible and len(header) < length and header[:1] in (b"", b"{"):
            raise _truncated(path, size, length + 8) from None
        raise NodeError(f"{path.name} is not a safetensors file.", hint=hint) from None
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        raise _truncated(path, size, expected)


def _truncated(path: Path, size: int, expected: int) -> NodeError:
    return NodeError(
        f"{path.name} is cut short.",
        expected=f"at least {expected:,} bytes",
        got=f"{size:,}",
        hint="Copy or download it again.",
    )
