"""The store of secrets: values by name, in the environment, the system's keyring or a file that nobody else may read.

The environment counts first. `secrets.json` in the data folder says which names lie in the keyring, so that it is asked for no
other, and holds the values where there is no keyring. What has been read is remembered, to be taken out of texts that leave.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal, NamedTuple

from nodegraph.sdk.errors import Problem
from nodegraph.sdk.values import (
    NO_SECRET_NAME,
    SECRET_NAME_HINT,
    SECRET_VARIABLES,
    SecretError,
    is_secret_name,
    secret_variable,
)
from nodegraph.sdk.writing import not_written, remove_leftovers, write_atomically
from nodegraph.store.locks import alone
from nodegraph.store.redaction import redacted, redacted_problem
from nodegraph.store.system_keyring import Keyring, KeyringSilent, ask, working_keyring

SecretPlace = Literal["environment", "keyring", "file"]

LONGEST_VALUE = 1 << 16
"""Characters of a secret: a key file fits, a picture does not."""

_SHORTEST_IN_TEXTS = 6  # characters of a value that nobody has read yet: a shorter one would be found in any text
_LARGEST_FILE = 16 << 20
_PATIENCE_SECONDS = 15.0
_MEND = "Mend or remove secrets.json in the data folder, and set its secrets again: nodegraph secret set NAME"


class _Kept(NamedTuple):
    """What the file says: values by name, the names in the keyring, and the name that the keyring knows this data folder by."""

    values: Mapping[str, str]
    in_keyring: frozenset[str]
    service: str


_NOTHING = _Kept({}, frozenset(), "")


class Secrets:
    """The secrets that a process may read: of its environment, and of a data folder where `file` names one there.

    Names are told without regard to case, as environment variables are. Everything but `set` and `remove` may be called from
    any thread.
    """

    def __init__(
        self,
        file: Path | None = None,
        environment: Mapping[str, str] = os.environ,
        keyring: Callable[[], Keyring | None] = working_keyring,
    ) -> None:
        self._file, self._environment, self._keyring = file, environment, keyring
        self._read_values: dict[str, str] = {}  # names by values

    # ---- reading ----

    def names(self) -> dict[str, tuple[SecretPlace, ...]]:
        """Every secret's name and where it lies, the place that counts first. Raises SecretError for a file that is no good."""
        kept = self._read()
        set_there = {name for name in self._environment_values() if is_secret_name(name) and name == name.upper()}
        lying: dict[SecretPlace, Collection[str]] = {"environment": set_there, "keyring": kept.in_keyring, "file": kept.values}
        names = sorted({name for there in lying.values() for name in there})
        return {name: tuple(place for place, there in lying.items() if name in there) for name in names}

    def reveal(self, name: str) -> str:
        """A secret's value. Raises SecretError where it is not set, or where it lies cannot be read."""
        key = _key(name)
        value = self._environment.get(secret_variable(key))
        if value is None:
            value = self._kept_value(key)
        if value is None:
            hint = f"set the environment variable {secret_variable(key)}."
            hint = f"Set it with `nodegraph secret set {key}`, or {hint}" if self._file else hint[0].upper() + hint[1:]
            raise SecretError(f"The secret {name!r} is not set. {hint}")
        if value:
            self._read_values[value] = key
        return value

    def _kept_value(self, key: str) -> str | None:
        kept = self._read()
        if key in kept.values or key not in kept.in_keyring:
            return kept.values.get(key)
        try:
            value = self._of_keyring(kept.service, key)
        except KeyringSilent as silence:
            why = str(silence)
        else:
            if value is not None:
                return value
            why = "it is no longer there"
        message = f"The secret {key!r} lies in the system's keyring, which does not give it ({why})."
        hint = f"Unlock the keyring, set the secret anew (nodegraph secret set {key}), or set {secret_variable(key)}."
        raise SecretError(message, hint=hint)

    def _of_keyring(self, service: str, key: str) -> str | None:
        ring = self._keyring()
        if ring is None:
            raise KeyringSilent("there is none here now")
        return ask(partial(ring.get_password, service, key))

    # ---- writing ----

    def set(self, name: str, value: str) -> SecretPlace:
        """Keep a secret, in the keyring where there is one that works: where it lies now.

        Raises SecretError for what is no name or no value, NotWritten where it cannot be kept.
        """
        key = _key(name)
        if not 0 < len(value) <= LONGEST_VALUE or "\0" in value:
            raise SecretError(f"A secret is a text of 1 to {LONGEST_VALUE} characters, without zero bytes.")
        with self._alone() as kept:
            values = {other: text for other, text in kept.values.items() if other != key}
            if self._into_keyring(kept.service, key, value):
                self._write(_Kept(values, kept.in_keyring | {key}, kept.service))
                return "keyring"
            self._write(_Kept({**values, key: value}, kept.in_keyring - {key}, kept.service))
            if key in kept.in_keyring:
                self._out_of_keyring(kept.service, key)
            return "file"

    def remove(self, name: str) -> SecretPlace | None:
        """Forget a secret: where it lay, None where it was not kept. What the environment sets stays set.

        Raises SecretError, also where the keyring keeps it nevertheless; NotWritten.
        """
        key = _key(name)
        if self._file is None or _private_text(self._file) is None:
            return None
        with self._alone() as kept:
            if key in kept.values:
                self._write(kept._replace(values={other: text for other, text in kept.values.items() if other != key}))
                return "file"
            if key not in kept.in_keyring:
                return None
            if not self._out_of_keyring(kept.service, key):
                message = f"The system's keyring does not let go of the secret {key!r}."
                raise SecretError(message, hint="Unlock the keyring, and try again.")
            self._write(kept._replace(in_keyring=kept.in_keyring - {key}))
            return "keyring"

    def _into_keyring(self, service: str, key: str, value: str) -> bool:
        """Whether the keyring has the value now; there are some that take anything and keep nothing."""
        ring = self._keyring()
        if ring is None:
            return False
        with contextlib.suppress(KeyringSilent):
            ask(partial(ring.set_password, service, key, value))
            return ask(partial(ring.get_password, service, key)) == value
        return False

    def _out_of_keyring(self, service: str, key: str) -> bool:
        """Whether the keyring does not have it any more."""
        ring = self._keyring()
        if ring is None:
            return False
        with contextlib.suppress(KeyringSilent):
            if ask(partial(ring.get_password, service, key)) is not None:
                ask(partial(ring.delete_password, service, key))
            return True
        return False

    # ---- keeping values out of texts ----

    def known(self) -> dict[str, str]:
        """Names by the values that this process has read or could read in its environment."""
        here = self._environment_values().items()
        return {value: name for name, value in here if len(value) >= _SHORTEST_IN_TEXTS} | dict(self._read_values)

    def readable(self) -> dict[str, str]:
        """The same, and what lies in the file; the keyring is not asked, it could want to be unlocked."""
        kept: Mapping[str, str] = {}
        with contextlib.suppress(SecretError):
            kept = self._read().values
        return {value: name for name, value in kept.items()} | self.known()

    def redact(self, text: str) -> str:
        """A text without the values of known secrets: `[secret NAME]` stands in their place."""
        return redacted(text, self.known())

    def redact_problem(self, problem: Problem) -> Problem:
        """A problem without them."""
        return redacted_problem(problem, self.redact)

    # ---- the file ----

    def _environment_values(self) -> dict[str, str]:
        rows = self._environment.items()
        return {name.removeprefix(SECRET_VARIABLES): value for name, value in rows if name.startswith(SECRET_VARIABLES)}

    def _read(self) -> _Kept:
        """What the file says; nothing where there is none. Raises SecretError where no frame holds the text."""
        kept = _NOTHING if self._file is None else _parsed(_private_text(self._file))
        if kept is None:
            raise SecretError("secrets.json in the data folder is damaged.", hint=_MEND)
        return kept

    def _write(self, kept: _Kept) -> None:
        assert self._file is not None
        data = {
            "secrets": dict(sorted(kept.values.items())),
            "keyring": {"service": kept.service, "names": sorted(kept.in_keyring)},
        }
        write_atomically(self._file, json.dumps(data, indent=1).encode(), mode=0o600)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[_Kept]:
        """What the file says, while no other process changes it."""
        if self._file is None:
            raise SecretError("There is no data folder here to keep secrets in.")
        with contextlib.ExitStack() as held:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(alone(self._file.with_name(f".{self._file.name}.lock"), _PATIENCE_SECONDS))
            except OSError as error:
                raise not_written(error, self._file) from None
            remove_leftovers(self._file)
            kept = self._read()
            yield kept if kept.service else kept._replace(service=f"nodegraph-{token_hex(4)}")


def _key(name: str) -> str:
    """A secret's name as it is kept. Raises SecretError, which does not repeat what may be the secret itself."""
    if not is_secret_name(name):
        raise SecretError(NO_SECRET_NAME, hint=SECRET_NAME_HINT)
    return name.upper()


def _private_text(file: Path) -> str | None:
    """The text of a file that nobody else may read, None where there is no file. Raises SecretError."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            data = opened.read(_LARGEST_FILE) if sys.platform == "win32" or not mode & 0o077 else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretError(f"secrets.json in the data folder cannot be read: {error.strerror}.") from None
    if data is None:
        message = f"Others may read secrets.json in the data folder (its mode is {stat.S_IMODE(mode):o}), so it is not used."
        raise SecretError(message, hint="In the data folder: chmod 600 secrets.json")
    return data.decode("utf-8", "replace")


def _parsed(text: str | None) -> _Kept | None:
    """What a file's text says: nothing where there is no file, None where it is damaged."""
    if text is None:
        return _NOTHING
    found: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
    match found:
        case {"secrets": dict(values), "keyring": {"service": str(service), "names": list(names)}} if all(
            isinstance(item, str) for item in (*values.values(), *names)
        ):
            return _Kept(values, frozenset(names), service)
    return None
