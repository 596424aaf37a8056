"""The words that jobs are found by: full-text search where SQLite has FTS5, otherwise a look through all texts.

A file may be opened by Pythons of both kinds: what one without FTS5 wrote is indexed when one with it opens the file again.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from nodegraph.jobs.schema import INDEX

_BEHIND = "texts_behind"


def open_index(connection: sqlite3.Connection) -> None:
    """Make the index where it can be had, and bring it up to date. Call within a transaction."""
    if not has_index(connection):
        return
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'texts'").fetchone() is None:
        connection.execute(INDEX)
        _set_behind(connection)
    if connection.execute("SELECT 1 FROM state WHERE name = ?", (_BEHIND,)).fetchone() is not None:
        connection.execute("INSERT INTO texts (texts) VALUES ('rebuild')")
        connection.execute("DELETE FROM state WHERE name = ?", (_BEHIND,))


def has_index(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite has FTS5."""
    return connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone() is not None


def add_words(connection: sqlite3.Connection, id_: str, text: str) -> None:
    """Let a job be found by a text."""
    number = connection.execute("INSERT INTO words (job, text) VALUES (?, ?)", (id_, text)).lastrowid
    if has_index(connection):
        connection.execute("INSERT INTO texts (rowid, text) VALUES (?, ?)", (number, text))
    else:
        _set_behind(connection)


def remove_words(connection: sqlite3.Connection, id_: str) -> None:
    """Forget a job's text."""
    row = connection.execute("SELECT number, text FROM words WHERE job = ?", (id_,)).fetchone()
    if row is None:
        return
    if has_index(connection):
        connection.execute("INSERT INTO texts (texts, rowid, text) VALUES ('delete', ?, ?)", row)
    else:
        _set_behind(connection)
    connection.execute("DELETE FROM words WHERE number = ?", row[:1])


def matching(connection: sqlite3.Connection, text: str) -> tuple[str, list[Any]]:
    """A condition on `id` for jobs with these words, and its values. What a person types is no query language."""
    words = text.replace("\0", " ").split()  # to SQLite a NUL is the end of a text
    if not words:
        return "0", []
    if has_index(connection):
        phrases = " ".join('"' + word.replace('"', '""') + '"' for word in words)
        found = "SELECT rowid FROM texts WHERE texts MATCH ?"
        return f"id IN (SELECT job FROM words WHERE number IN ({found}))", [phrases + "*"]
    likes = " AND ".join(["text LIKE ? ESCAPE '\\'"] * len(words))
    return f"id IN (SELECT job FROM words WHERE {likes})", [like(word) for word in words]


def like(text: str) -> str:
    """A LIKE pattern for what contains the text."""
    for special in "\\%_":
        text = text.replace(special, "\\" + special)
    return f"%{text}%"


def _set_behind(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO state VALUES (?, '1')", (_BEHIND,))
