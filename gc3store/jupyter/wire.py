"""What requests of a browser and replies to them may hold.

A request is treated as if an enemy had written it, and a text of a reply as if one
had put it into the store: the one is checked, the other cut to size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from gc3store.errors import InvalidQueryError, UsageError
from gc3store.jupyter.fields import FACETS, SHOWN_FIELDS
from gc3store.query import Condition, Query
from gc3store.record import Record
from gc3store.support.redaction import redact
from gc3store.support.text import shorten

__all__ = [
    "MAX_IDS",
    "MAX_TEXT",
    "BadRequestError",
    "clip",
    "get",
    "number",
    "origin_of",
    "question",
    "row",
    "texts",
    "value_of",
]

MAX_IDS = 10_000  #: IDs of one request; more are named by a query
MAX_ITEMS = 20  #: strings of one value, such as tags
MAX_TEXT = 300  #: characters of one string in a row; details show ten times as many


class BadRequestError(UsageError):
    """A request is malformed; nothing was done."""


# -- reading requests -------------------------------------------------------------------


def question(asked: Mapping[str, Any], columns: Collection[str] = ()) -> tuple[Query, dict[str, str] | None]:
    """Return the query that a front end asks, and a hint at the token that was left out of it.

    Parameters
    ----------
    asked : mapping
        ``text`` as for `Query.parse`; ``filters``, values by field; ``order``, a
        field with ``-`` before it for descending.

    Examples
    --------
    >>> query, hint = question({"text": "size:huge 16x16", "filters": {"state": ["RUNNING"]}})
    >>> query.words, query.conditions
    (('16x16',), (Condition(field='state', op='in', value=('RUNNING',)),))
    >>> hint["token"], hint["message"]
    ('size:huge', "'huge' is not a size; write it like 4kB, 1.5MB or 2GiB.")
    """
    text, hint = asked.get("text") or "", None
    if not isinstance(text, str) or len(text) > 1000:
        raise BadRequestError("A search is a string of at most 1,000 characters.")
    while True:
        try:
            query = Query.parse(text, columns=columns)
            break
        except InvalidQueryError as error:
            token = getattr(error, "token", text)
            hint = {"token": clip(token), "message": clip(str(error))}
            text = text.replace(token, " ", 1)
    filters = asked.get("filters") or {}
    if not isinstance(filters, dict) or not set(filters) <= set(FACETS):
        raise BadRequestError(f"Filters are for {' and '.join(FACETS)}.")
    conditions = list(query.conditions)
    for field, values in filters.items():
        if not isinstance(values, list) or len(values) > 100:
            raise BadRequestError("A filter is a list of values.")
        wanted = tuple(None if value in (None, "") else get({"v": value}, "v", str) for value in values)
        if field == "cls":
            wanted = tuple("" if value is None else value for value in wanted)
        if wanted:
            conditions.append(Condition(field, "in", wanted))
    order = asked.get("order") or ""
    if not isinstance(order, str):
        raise BadRequestError("An order is the name of a field.")
    query = Query.build(query=query.but(conditions=tuple(conditions)), order=order or None, columns=columns)
    return query, hint


def get(request: Any, key: str, kind: type[Any]) -> Any:
    """Return what a request has under `key`, which must be of this kind."""
    if not isinstance(request, Mapping):
        raise BadRequestError("A request is a JSON object.")
    value: Any = request.get(key)
    if not isinstance(value, kind) or (isinstance(value, str) and len(value) > MAX_IDS):
        raise BadRequestError(f"The request needs {key!r}, a {kind.__name__}.")
    return value


def number(request: Any, key: str) -> int:
    """Return the number that a request has under `key`, 0 if it has none."""
    value = request.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise BadRequestError(f"{key!r} must be a number from 0.")
    return value


def texts(request: Mapping[str, Any], key: str, limit: int) -> list[str]:
    """Return the strings that a request has under `key`, not more than `limit`."""
    values = request.get(key) or []
    if not isinstance(values, list) or len(values) > limit:
        raise BadRequestError(f"{key!r} must be a list of at most {limit:,} strings.")
    if not all(isinstance(value, str) and len(value) <= MAX_IDS for value in values):
        raise BadRequestError(f"{key!r} must be a list of strings.")
    return values


# -- writing replies --------------------------------------------------------------------


def clip(text: object, limit: int = MAX_TEXT) -> str:
    """Return a string that can be sent: not longer than `limit`, and without lone surrogates."""
    return shorten(str(text), limit).encode("utf-8", "replace").decode("utf-8")


def value_of(value: Any, limit: int) -> Any:
    """Return a value of the catalogue as JSON has it: times in milliseconds since the epoch."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, tuple):
        return [clip(item, limit) for item in value[:MAX_ITEMS]]
    return clip(value, limit)


def row(record: Record, columns: Iterable[str], limit: int = MAX_TEXT) -> dict[str, Any]:
    """Return an entry of the catalogue as the front end takes it: values by field, and by user column."""
    values = {name: value_of(record[name], limit) for name in SHOWN_FIELDS}
    return {
        **values,
        "id": record.id,
        "error": None if record.error is None else clip(redact(record.error), limit),
        "columns": {name: _own(record.columns.get(name), limit) for name in columns},
    }


def _own(value: Any, limit: int) -> Any:
    # Of a user column; a number of milliseconds would look like any other number there.
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return value_of(value, limit)


def origin_of(origin: Mapping[str, Any]) -> list[list[str]]:
    """Return where an object comes from, as pairs of strings."""
    shown = []
    for key, value in itertools.islice(origin.items(), 40):
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {version}" for name, version in itertools.islice(value.items(), 40))
        shown.append([clip(key, 100), clip(redact(str(value)), 4000)])
    return shown
