"""The fields of the catalogue as a browser shows them: what it is told of them when it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gc3store.record import FIELDS

__all__ = ["FACETS", "SHOWN_FIELDS", "browser_columns", "browser_fields"]

#: Fields that a browser and a table show, by name.
SHOWN_FIELDS: Final = {name: field for name, field in FIELDS.items() if field.width}

#: Fields whose values are counted and filtered by.
FACETS: Final = ("cls", "state")

#: Columns that are shown at first. The store's own stand before the last three: next to what they are about.
_AT_FIRST: Final = ("name", "id", "cls", "state"), ("size", "modified", "tags")

#: All that is known of the objects of a store that only lists their IDs.
_OF_AN_ID: Final = ("id", "cls")


def browser_fields(columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, title, kind and width of each field that can be shown, the store's own columns last.

    How wide one of those is depends on its name, as it is drawn; so its width is 0.
    """
    found = [(name, field.title, field.kind, field.width) for name, field in SHOWN_FIELDS.items()]
    own = [(name, name, "own", 0) for name in columns]
    return [dict(zip(("name", "title", "kind", "width"), facts, strict=True)) for facts in (*found, *own)]


def browser_columns(columns: Sequence[str], *, only_ids: bool) -> list[tuple[str, bool]]:
    """Return the columns of the table, in their order at first, each with whether it is shown."""
    if only_ids:
        return [(name, True) for name in (*_OF_AN_ID, *columns)]
    before, after = _AT_FIRST
    shown = (*before, *columns, *after)
    return [*((name, True) for name in shown), *((name, False) for name in SHOWN_FIELDS if name not in shown)]
