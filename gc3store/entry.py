"""Catalogue entries as JSON holds them, and as `Record`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gc3store.record import Record

__all__ = ["columns_from_entry", "from_microseconds", "record_from_entry", "to_microseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_microseconds(value: int | None) -> datetime | None:
    """Return the time that is `value` microseconds after the epoch, in UTC."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def to_microseconds(value: datetime) -> int:
    """Return a time in microseconds since the epoch.

    >>> to_microseconds(from_microseconds(1764072000123456))
    1764072000123456
    """
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def columns_from_entry(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the values of user columns, of all in `names`; a time stands in a list in an entry.

    >>> columns_from_entry({"energy": -1.75, "other": 1}, ["energy", "converged"])
    {'energy': -1.75, 'converged': None}
    """
    values = {name: found.get(name) for name in names}
    for name, value in values.items():
        if type(value) is list:
            values[name] = from_microseconds(value[0])
    return values


def record_from_entry(
    entry: Mapping[str, Any], *, environment: str | None = None, columns: Sequence[str] = ()
) -> Record:
    """Return the record that a catalogue entry describes.

    Parameters
    ----------
    entry : mapping
        Times in microseconds, texts as they are; what is missing has its default.
    environment : str, optional
        The text that `gc3store.support.provenance` made when it was saved.
    columns : sequence of str
        Names of the store's user columns.
    """
    origin: dict[str, Any] = {}
    error = entry.get("error")
    for text in environment, entry.get("origin"):
        try:
            origin.update(json.loads(text) if text else {})
        except (TypeError, ValueError):  # all else can be told
            error = error or "damaged: where it came from cannot be read"
    return Record(
        id=entry["id"],
        name=entry.get("name"),
        cls=entry.get("cls", ""),
        state=entry.get("state"),
        tags=tuple(entry.get("tags") or ()),
        size=entry.get("size", 0),
        created=from_microseconds(entry.get("created")),
        modified=from_microseconds(entry.get("modified")),
        revision=entry.get("revision", 1),
        preview=entry.get("preview"),
        references=tuple(entry.get("references") or ()),
        origin=origin,
        columns=columns_from_entry(entry.get("columns") or {}, columns),
        checksum=entry.get("checksum"),
        explicit=bool(entry.get("explicit", True)),
        error=error,
    )
