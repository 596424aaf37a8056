"""The token: in `DATA/token`, readable by its user alone, made at the first start."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from nodegraph.logs import logger
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.writing import write_atomically
from nodegraph.settings.model import SHORTEST_TOKEN

_LOG = logger("server")
_BYTES = 32
_LONGEST = 512


class BadToken(Exception):
    """The file of the token holds none."""

    def __init__(self, path: Path) -> None:
        hint = "Remove the file: the next start makes a new token."
        self.problem = Problem("bad_token", f"{path} holds no token of {SHORTEST_TOKEN} to {_LONGEST} characters.", hint=hint)
        super().__init__(str(self.problem))


def kept_token(data: Path) -> str:
    """The data folder's token; made where there is none. Raises BadToken, NotWritten, OSError."""
    path = data / "token"
    if not path.is_file() or not path.stat().st_size:
        data.mkdir(parents=True, exist_ok=True)
        write_atomically(path, secrets.token_urlsafe(_BYTES).encode() + b"\n", mode=0o600)
    if os.name != "nt" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        _LOG.warning("token_was_readable_by_others")
        path.chmod(0o600)
    text = path.read_bytes()[: _LONGEST + 2].strip().decode("ascii", "replace")
    if not re.fullmatch(rf"[\x21-\x7e]{{{SHORTEST_TOKEN},{_LONGEST}}}", text):
        raise BadToken(path)
    return text


def digest(secret: str) -> str:
    """What is kept and compared in place of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same; how long that takes does not tell where they differ."""
    return hmac.compare_digest(digest(given), digest(wanted))
