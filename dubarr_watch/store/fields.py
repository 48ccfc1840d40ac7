"""Columns that hold what SQLite alone would not: paths as bytes, any text, times with zone."""

from __future__ import annotations

import os
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import peewee


class PathField(peewee.Field):
    """A path, kept as the bytes that the file system knows, since names need not be UTF-8."""

    field_type = "BLOB"

    def db_value(self, value: Any) -> bytes | None:
        """Return the bytes of a path, given as any kind of path or as bytes."""
        return None if value is None else os.fsencode(value)

    def python_value(self, value: Any) -> Path | None:
        """Return the path that the bytes name."""
        return None if value is None else Path(os.fsdecode(bytes(value)))


class TextField(peewee.TextField):
    """Text; a reason may quote a file name that is no UTF-8, and must not fail for it."""

    def db_value(self, value: Any) -> str | None:
        """Return the text with what no encoder can write as escapes."""
        if value is None:
            return None
        text = str(value).encode("utf-8", "backslashreplace").decode()
        return text.replace("\0", "\\x00")  # PostgreSQL keeps none


class FlagField(peewee.Field):
    """True or false as 1 or 0, so that SQL written by hand is the same for every database."""

    field_type = "INTEGER"

    def db_value(self, value: Any) -> int | None:
        """Return the number of a flag."""
        return None if value is None else int(bool(value))

    def python_value(self, value: Any) -> bool | None:
        """Return the flag of a number."""
        return None if value is None else bool(value)


class TimeField(peewee.Field):
    """A moment in UTC, as ISO 8601 text of one width, so that text order is time order."""

    field_type = "TEXT"

    def db_value(self, value: Any) -> str | None:
        """Return the text of a moment.

        Raises:
            ValueError: It has no time zone, so nobody knows which moment it is.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs a time zone")
        return str(value.astimezone(UTC).isoformat(timespec="microseconds"))

    def python_value(self, value: Any) -> datetime | None:
        """Return the moment that the text tells."""
        return None if value is None else datetime.fromisoformat(value)


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


def search_text(path: Path | bytes) -> str:
    """Return what is searched of a path: without case and accents."""
    text = os.fsencode(path).decode("utf-8", "replace")
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in parts if not unicodedata.combining(character))
