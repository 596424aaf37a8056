"""A lock beside what is here, field by field.

What must match decides the pixels: nodes, packs, models, input files, the kind of device, its dtype and the libraries that
compute there. Everything else (the name of the device, Python, the platform) is good to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nodegraph.graph.lock import OUTPUTS, RELOCK, Lock, LockedDevice, LockedFile, LockedPack, Runtime
from nodegraph.sdk.errors import Problem


class Difference(NamedTuple):
    """A field of a lock that is not the same here. `got` is None where there is no such thing, `expected` where none is locked.

    `must`: a locked run refuses; else it is good to know.
    """

    place: str
    expected: str | None
    got: str | None
    must: bool
    message: str
    hint: str = ""

    @property
    def state(self) -> str:
        return "missing" if self.got is None else "different"

    def problem(self) -> Problem:
        expected, got = (None, None) if self.place.startswith("document.") else (self.expected, self.got)
        return Problem("lock_mismatch", self.message, f"lock.{self.place}", None, expected, got, self.hint or None)


class Comparison(NamedTuple):
    """A lock beside what is here: fields that are the same, with their value, and those that are not."""

    same: dict[str, str]
    differences: tuple[Difference, ...]

    @property
    def must(self) -> list[Difference]:
        """What a locked run refuses."""
        return [found for found in self.differences if found.must]

    @property
    def notes(self) -> list[Difference]:
        """What is good to know."""
        return [found for found in self.differences if not found.must]


class Trouble(NamedTuple):
    """Why something that is locked is not here, and what would bring it."""

    message: str
    hint: str = ""


def compare(lock: Lock, here: Lock, trouble: Mapping[str, Trouble] | None = None) -> Comparison:
    """A lock beside what is `here`, which says nothing of what is not there.

    `trouble` says why that is, by place (`models.starter`); of what is there but different, its hint says what would help.
    """
    found = _Comparing({}, [], trouble or {})
    found.document(lock.document, here.document)
    for name in sorted({*lock.packs, *here.packs}):
        found.pack(name, lock.packs.get(name), here.packs.get(name))
    for section, what in (("models", "model"), ("inputs", "input file")):
        locked, there = getattr(lock, section), getattr(here, section)
        for name in sorted({*locked, *there}):
            found.file(f"{section}.{name}", f"{what} {name}", locked.get(name), there.get(name))
    found.runtime(lock.runtime, here.runtime)
    return Comparison(found.same, tuple(found.differences))


class _Comparing(NamedTuple):
    """The fields found so far."""

    same: dict[str, str]
    differences: list[Difference]
    trouble: Mapping[str, Trouble]

    def field(self, place: str, expected: str | None, got: str | None, message: str, hint: str = "", must: bool = True) -> None:
        if not expected and not got:
            return
        if expected is not None and expected == got:
            self.same[place] = got
        else:
            self.differences.append(Difference(place, expected, got, must, message, hint))

    def document(self, locked: Mapping[str, str], here: Mapping[str, str]) -> None:
        for name in sorted({*locked, *here}):
            what = "The workflow's outputs were" if name == OUTPUTS else "It was"
            how = "removed" if name not in here else "added" if name not in locked else "changed"
            message = f"{what} {how} after the workflow was locked."
            hint = f"Undo that, or lock the workflow as it is now. {RELOCK}"
            self.field(f"document.{name}", locked.get(name), here.get(name), message, hint)

    def pack(self, name: str, locked: LockedPack | None, here: LockedPack | None) -> None:
        place = f"packs.{name}"
        if locked is None:
            assert here is not None
            self._unlocked(place, f"pack {name}", f"{here.distribution} {here.version}".strip() or here.source)
            return
        wanted = f"{locked.distribution or name} {locked.version}".strip()
        install = f'pip install "{locked.distribution}=={locked.version}"' if locked.distribution and locked.version else ""
        if here is None:
            trouble = self.trouble.get(place, Trouble(f"The pack {name} is not installed."))
            hint = trouble.hint or (f"Install it: {install}" if install else "Install it.")
            self.field(place, wanted, None, trouble.message, hint)
            return
        hint = f"Install the version that was locked: {install}" if install else "Get the pack as it was when it was locked."
        message = f"The pack {name} comes from another distribution."
        self.field(f"{place}.distribution", locked.distribution, here.distribution, message, hint)
        message = f"Another version of the pack {name} is installed."
        self.field(f"{place}.version", locked.version, here.version, message, hint)
        if install and locked.version == here.version:
            hint = f"Get the source that was locked; if it was a release: pip install --force-reinstall {install.split()[-1]}"
        self.field(f"{place}.source", locked.source, here.source, f"The source of the pack {name} is not the same.", hint)

    def file(self, place: str, what: str, locked: LockedFile | None, here: LockedFile | None) -> None:
        if locked is None:
            assert here is not None
            self._unlocked(place, what, here.sha256)
            return
        trouble = self.trouble.get(place, Trouble(f"The {what} is not here."))
        get = f"Get it from {locked.origin}. " if locked.origin else ""
        if here is None:
            self.field(place, f"sha256 {locked.sha256}", None, trouble.message, get + trouble.hint)
            return
        hint = f"{get}{trouble.hint or 'Put the file here that was locked.'}"
        self.field(f"{place}.sha256", locked.sha256, here.sha256, f"The {what} is not the one that was locked.", hint)

    def _unlocked(self, place: str, what: str, got: str) -> None:
        self.field(place, None, got, f"The workflow uses the {what}, and its lock does not have it.", RELOCK)

    def runtime(self, locked: Runtime, here: Runtime) -> None:
        if locked.device is not None:
            self.device(locked.device, here.device)
        elif here.device is not None:
            self._unlocked("runtime.device", f"device ({here.device.kind})", here.device.kind)
        for name, version in sorted(locked.libraries.items()):
            self.field(
                f"runtime.libraries.{name}", version, here.libraries.get(name), f"{name} has another version.", must=False
            )
        for name in ("nodegraph", "python", "platform"):
            expected, got = getattr(locked, name), getattr(here, name)
            self.field(f"runtime.{name}", expected, got, f"The workflow was locked with another {name}.", must=False)

    def device(self, locked: LockedDevice, here: LockedDevice | None) -> None:
        place = "runtime.device"
        if here is None:
            trouble = self.trouble.get(place, Trouble("There is no device to compute on."))
            self.field(place, locked.kind, None, trouble.message, trouble.hint)
            return
        hint = f"Run it where there is {locked.kind}, or lock it for the device that is here: nodegraph run FILE --lock."
        self.field(f"{place}.kind", locked.kind, here.kind, "The device is of another kind.", hint)
        hint = f"Set the precision of the model to {locked.dtype} before you lock, or run it on the device that was locked."
        self.field(f"{place}.dtype", locked.dtype, here.dtype, '"auto" precision means another type here.', hint)
        for name, version in sorted(locked.libraries.items()):
            got, hint = here.libraries.get(name), f'Install it: pip install "{name}=={version}"'
            how = "is not installed" if got is None else "has another version"
            self.field(f"{place}.libraries.{name}", version, got, f"{name} {how}.", hint)
        for name, value in sorted(locked.about.items()):
            message = f"The device is another one ({name})."
            self.field(f"{place}.about.{name}", value, here.about.get(name), message, must=False)
