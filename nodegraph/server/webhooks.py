"""Calls to other machines when a job ends: to configured hosts only, signed, and repeated until they are answered or given up.

The receiver computes HMAC-SHA256 of `TIMESTAMP.BODY` with the secret from `DATA/webhook-secret`, compares it with the header
`Nodegraph-Signature` (`v1=` and 64 hex digits), and takes a `Nodegraph-Delivery` that it has seen for a repetition.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from functools import partial
from pathlib import Path

import aiohttp
from yarl import URL

from nodegraph.jobs import JobStore, StoreFailed
from nodegraph.jobs.deliveries import Delivery, delivered, given_up, postponed, waiting
from nodegraph.logs import logger
from nodegraph.sdk.writing import write_atomically
from nodegraph.server.outbound import NotPublic, connector_for
from nodegraph.server.problems import Refused
from nodegraph.server.views import whole
from nodegraph.settings import Webhooks as WebhookSettings
from nodegraph.settings.model import host_and_port, host_name

_LOG = logger("webhooks")
_USUAL_PORTS = (80, 443)
_AT_ONCE = 8
_ANSWER_BYTES = 64 << 10
_FIRST_PAUSE = 10.0
_GROWTH = 4.0
_LONGEST_PAUSE = 6 * 3600.0
_LOOK_SECONDS = 30.0  # how long a call waits at most that nobody announced


class NotDelivered(Exception):
    """A call that did not work, and why, in a word. `final` where it never will."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.final = reason, final


def check_webhook(settings: WebhookSettings, url: str) -> None:
    """Whether this address may be called. Raises Refused where its host is not one of those that are configured."""
    if not settings.hosts:
        raise Refused(422, "no_webhooks", "No webhook host is configured.")
    if allowed_url(settings, url) is None:
        raise Refused(
            422, "bad_webhook", "A webhook is an http or https address at a configured host, without a user or a fragment."
        )


def allowed_url(settings: WebhookSettings, text: str) -> URL | None:
    """The address as it will be called, or None where it may not be."""
    if not text.isascii() or not text.isprintable() or "\\" in text or " " in text:
        return None
    try:
        url = URL(text)
        host, port = host_name(url.raw_host or ""), url.port
    except ValueError:
        return None
    if url.scheme not in ("http", "https") or url.raw_user or url.raw_password or url.raw_fragment or port is None:
        return None
    for allowed in settings.hosts:
        name, own_port = host_and_port(allowed)
        if name == host and (port == own_port if own_port is not None else port in _USUAL_PORTS):
            return url
    return None


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of the header Nodegraph-Signature."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def webhook_secret(path: Path) -> bytes:
    """The secret that calls are signed with, made at its first use and readable by its user alone. Raises OSError."""
    if not path.exists() or not path.stat().st_size:
        path.unlink(missing_ok=True)
        write_atomically(path, secrets.token_hex(32).encode(), mode=0o600)
    path.chmod(0o600)
    return path.read_bytes().strip()


class Webhooks:
    """Makes the calls that the store says are due. Where no host is configured it does nothing at all."""

    def __init__(
        self, store: JobStore, settings: WebhookSettings, secret_file: Path, first_pause: float = _FIRST_PAUSE
    ) -> None:
        self._store, self._settings, self._secret_file, self._first_pause = store, settings, secret_file, first_pause
        self._secret = b""
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin, with what the last server left."""
        if self._settings.hosts:
            self._task = asyncio.create_task(self._call_on())

    async def close(self) -> None:
        """Stop; what was not answered is called again after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """A job has ended."""
        self._woken.set()

    async def _call_on(self) -> None:
        while True:
            self._woken.clear()
            pause = _LOOK_SECONDS
            try:
                self._secret = self._secret or await asyncio.to_thread(webhook_secret, self._secret_file)
                found = await self._store.read(partial(waiting, most=_AT_ONCE))
                due = [delivery for delivery in found if delivery.due <= time.time()]
                await asyncio.gather(*map(self._deliver, due))
                if due:
                    continue
                if found:
                    pause = min(pause, max(0.0, found[0].due - time.time()))
            except (StoreFailed, OSError) as error:
                _LOG.warning("webhooks_stuck", error=error)
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _deliver(self, delivery: Delivery) -> None:
        about = {"job": delivery.job, "delivery": delivery.id}
        try:
            await self._called(delivery)
        except NotDelivered as error:
            reason = error.reason
            if error.final or delivery.tries >= self._settings.retries:
                _LOG.warning("webhook_failed", why=reason, **about)
                await self._store.write(lambda tx: given_up(tx, delivery, reason))
            else:
                _LOG.info("webhook_postponed", why=reason, **about)
                pause = min(self._first_pause * _GROWTH**delivery.tries, _LONGEST_PAUSE)
                await self._store.write(lambda tx: postponed(tx, delivery, time.time() + pause))
        else:
            _LOG.info("webhook_delivered", **about)
            await self._store.write(lambda tx: delivered(tx, delivery))

    async def _called(self, delivery: Delivery) -> None:
        """One call. Raises NotDelivered, also for what nobody expected: one delivery must not hold up the others."""
        try:
            await self._call(delivery)
        except (NotDelivered, StoreFailed):
            raise
        except Exception as error:
            _LOG.fault("webhook_fault", error, job=delivery.job)
            raise NotDelivered("internal") from None

    async def _call(self, delivery: Delivery) -> None:
        url = allowed_url(self._settings, delivery.url)  # the settings may be others than when it was submitted
        if url is None:
            raise NotDelivered("not_allowed", final=True)
        body = await self._body(delivery)
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "nodegraph",
            "Nodegraph-Delivery": delivery.id,
            "Nodegraph-Timestamp": timestamp,
            "Nodegraph-Signature": signature(self._secret, timestamp, body),
        }
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector_for(url.raw_host or ""),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds),
                    auto_decompress=False,
                    trust_env=False,
                ) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                await answer.content.read(_ANSWER_BYTES)
                status = answer.status
        except TimeoutError:
            raise NotDelivered("timed_out") from None
        except (aiohttp.ClientError, OSError) as error:
            why = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            raise NotDelivered("not_public" if isinstance(why, NotPublic) else type(why).__name__) from None
        if not 200 <= status < 300:
            raise NotDelivered(f"status_{status}")

    async def _body(self, delivery: Delivery) -> bytes:
        """What is told: the job as the API shows it, without its nodes. Raises NotDelivered for one that was removed."""
        job = await self._store.get(delivery.job)
        if job is None:
            raise NotDelivered("no_job", final=True)
        shown = whole(job, {}, {}).model_dump(mode="json", exclude={"nodes", "questions"}, exclude_none=True)
        return json.dumps({**shown, "delivery": delivery.id}, ensure_ascii=False).encode()
