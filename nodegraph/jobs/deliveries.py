"""Webhook calls that are to be made. A row comes to be in the transaction that ends its job (a trigger of the schema sees to
that), and goes when the call was answered or given up: so no restart loses one.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from nodegraph.jobs.commits import Transaction


class Delivery(NamedTuple):
    """A call to be made: about which job, to which address, from when on, and how often it was tried."""

    id: str
    job: str
    url: str
    tries: int
    due: float


def waiting(connection: sqlite3.Connection, most: int) -> list[Delivery]:
    """The calls that are to be made next, those that are due first."""
    query = "SELECT id, job, url, tries, due FROM deliveries ORDER BY due LIMIT ?"
    return [Delivery(*row) for row in connection.execute(query, (most,))]


def delivered(tx: Transaction, delivery: Delivery) -> None:
    """The call was answered."""
    _over(tx, delivery, "webhook_delivered", "")


def given_up(tx: Transaction, delivery: Delivery, reason: str) -> None:
    """The call will not be tried again."""
    _over(tx, delivery, "webhook_failed", reason)


def postponed(tx: Transaction, delivery: Delivery, due: float) -> None:
    """The call did not work, and is to be tried again then."""
    tx.connection.execute("UPDATE deliveries SET tries = tries + 1, due = ? WHERE id = ?", (due, delivery.id))


def _over(tx: Transaction, delivery: Delivery, event: str, reason: str) -> None:
    if tx.connection.execute("DELETE FROM deliveries WHERE id = ?", (delivery.id,)).rowcount:
        about = {"reason": reason} if reason else {}
        tx.event(event, delivery.job, delivery=delivery.id, tries=delivery.tries + 1, **about)
