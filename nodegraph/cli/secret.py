"""`nodegraph secret set|list|remove`: secrets by name. A value comes over a hidden prompt or stdin, and is never shown."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nodegraph.api.paths import data_folder, secrets_file
from nodegraph.cli.show import DONE, FAILED, print_json, refuse, stderr, stdout, table
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.values import NO_SECRET_NAME, SECRET_NAME_HINT, SecretError, is_secret_name, secret_variable
from nodegraph.sdk.writing import NotWritten
from nodegraph.store.secrets import LONGEST_VALUE, Secrets

_NOT_KEPT, _NOT_REMOVED = "The secret was not kept", "Nothing was removed"
_PLACES = {"environment": "the environment", "keyring": "the system's keyring", "file": "secrets.json"}


def set_command(name: str, more: Sequence[str], as_json: bool, data: Path | None) -> int:
    """Keep a secret. `more` is what stood behind the name: perhaps the value, which must not be repeated."""
    if more:
        message = "A secret's value is not written behind its name: other programs, and the shell's history, would see it."
        hint = "Leave it out: it is asked for, or read from stdin."
        return refuse([Problem("bad_secret", message, hint=hint)], as_json, _NOT_KEPT)
    if not is_secret_name(name):
        return _refuse_name(as_json, _NOT_KEPT)
    value = _asked(name)
    if value is None:
        return refuse([Problem("bad_secret", "What comes from stdin is no text in UTF-8.")], as_json, _NOT_KEPT)
    try:
        place = _secrets(data).set(name, value)
    except (SecretError, NotWritten) as error:
        return _refuse(error, as_json, data, _NOT_KEPT)
    key = name.upper()
    if as_json:
        print_json({"name": key, "place": place})
        return DONE
    where = f" ({secrets_file(data_folder(data))})" if place == "file" else ""
    print(f"{key} is kept in {_PLACES[place]}{where}.")
    if secret_variable(key) in os.environ:
        stderr().print(f"{secret_variable(key)} is set here, and counts first.", soft_wrap=True)
    return DONE


def list_command(as_json: bool, data: Path | None) -> int:
    """Show the names of all secrets, and where they lie."""
    try:
        found = _secrets(data).names()
    except SecretError as error:
        return _refuse(error, as_json, data, "Not all secrets can be listed")
    if as_json:
        rows = ({"name": name, "place": places[0], "also": places[1:]} for name, places in found.items())
        print_json({"secrets": list(rows)})
        return DONE
    if not found:
        print("There are no secrets. Keep one: nodegraph secret set NAME")
        return DONE
    shown = table("name", "lies in")
    for name, (first, *rest) in found.items():
        also = "".join(f", also in {_PLACES[place]}" for place in rest)
        shown.add_row(name, f"{_PLACES[first]}{also}")
    stdout().print(shown)
    return DONE


def remove_command(name: str, as_json: bool, data: Path | None) -> int:
    """Forget a secret; what the environment sets is not ours to remove."""
    if not is_secret_name(name):
        return _refuse_name(as_json, _NOT_REMOVED)
    key = name.upper()
    try:
        place = _secrets(data).remove(name)
    except (SecretError, NotWritten) as error:
        return _refuse(error, as_json, data, _NOT_REMOVED)
    still = f"The environment variable {secret_variable(key)} sets it."
    if place is None:
        hint = still if secret_variable(key) in os.environ else "See which there are: nodegraph secret list"
        return refuse([Problem("no_secret", f"No secret {key} is kept.", hint=hint)], as_json, _NOT_REMOVED)
    if as_json:
        print_json({"name": key, "place": place})
        return DONE
    print(f"{key} is no longer in {_PLACES[place]}.")
    if secret_variable(key) in os.environ:
        stderr().print(f"{still} It is still there for runs that see it.", soft_wrap=True)
    return DONE


def _secrets(data: Path | None) -> Secrets:
    return Secrets(secrets_file(data_folder(data)))


def _asked(name: str) -> str | None:
    """The value: what is typed without being seen, else what comes over stdin, less one line's end. None: it is no text."""
    if sys.stdin.isatty():
        return getpass.getpass(f"Value of {name.upper()} (it is not shown): ")
    try:
        text = sys.stdin.buffer.read(4 * LONGEST_VALUE + 1).decode()
    except UnicodeDecodeError:
        return None
    return text.removesuffix("\n").removesuffix("\r")


def _refuse_name(as_json: bool, what: str) -> int:
    return refuse([Problem("bad_secret", NO_SECRET_NAME, hint=SECRET_NAME_HINT)], as_json, what)


def _refuse(error: SecretError | NotWritten, as_json: bool, data: Path | None, what: str) -> int:
    """Say what is wrong with where secrets lie; to whose they are, also which data folder it is."""
    if isinstance(error, NotWritten):
        refuse([error.problem], as_json, what)
        return FAILED
    return refuse([Problem("bad_secret", str(error), hint=error.hint)], as_json, f"{what} (data folder {data_folder(data)})")
