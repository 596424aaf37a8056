"""Secrets: names and places are shown, values are taken and never given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from nodegraph.sdk.errors import Problem
from nodegraph.sdk.values import NO_SECRET_NAME, SECRET_NAME_HINT, SecretError, is_secret_name, secret_variable
from nodegraph.sdk.writing import NotWritten
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.routing import Call, endpoint
from nodegraph.server.service import Server
from nodegraph.wire.secrets import SecretList, SecretName, SecretRow, SecretValue

T = TypeVar("T")

_NAME = {"name": SecretName}


@endpoint("GET", "/api/secrets", answers={200: SecretList}, refuses=(409,), tag="secrets")
async def list_secrets(server: Server, call: Call) -> SecretList:
    """The names of all secrets, and where each lies."""
    found = await _asked(server.session.secrets.names)
    return SecretList(secrets=[SecretRow(name=name, places=list(places)) for name, places in found.items()])


@endpoint(
    "PUT", "/api/secrets/{name}", types=_NAME, body=SecretValue, answers={200: SecretRow}, refuses=(409, 507), tag="secrets"
)
async def set_secret(server: Server, call: Call) -> SecretRow:
    """Keep a secret: in the system's keyring where there is one that works, else in a file that nobody else may read."""
    name, given = str(call.path["name"]), call.body
    if not is_secret_name(name):  # which may be the secret itself: it is not repeated
        raise Refused(422, "bad_secret", NO_SECRET_NAME, [Problem("bad_secret", NO_SECRET_NAME, hint=SECRET_NAME_HINT)])
    secrets = server.session.secrets
    await _asked(lambda: secrets.set(name, given.value.get_secret_value()))
    places = (await _asked(secrets.names)).get(name.upper(), ())
    return SecretRow(name=name.upper(), places=list(places))


@endpoint("DELETE", "/api/secrets/{name}", types=_NAME, answers={204: None}, refuses=(409, 507), tag="secrets")
async def delete_secret(server: Server, call: Call) -> None:
    """Forget a secret. What the server's environment sets is not for it to remove."""
    name = str(call.path["name"])
    if not is_secret_name(name):
        raise not_found("secret")
    secrets = server.session.secrets
    if await _asked(lambda: secrets.remove(name)) is not None:
        return
    if name.upper() in await _asked(secrets.names):
        raise Refused(409, "set_outside", f"The environment variable {secret_variable(name)} of the server sets it.")
    raise not_found("secret")


async def _asked(question: Callable[[], T]) -> T:
    """The answer of the store, which may have to ask the keyring. Raises Refused."""
    try:
        return await asyncio.to_thread(question)
    except SecretError as error:
        raise Refused(409, "secrets_unusable", str(error)) from None
    except NotWritten as error:
        raise Refused(507, "not_written", f"The secret cannot be kept ({error.strerror}).") from None
