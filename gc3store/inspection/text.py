"""Inert values as text: capped, and finished in bounded time.

Whatever the value, no more than a few thousand nodes are visited and a few thousand
characters written; what is left out is said. Control characters are shown as escapes. As HTML,
values are shown by `gc3store.inspection.html`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from gc3store.inspection.libraries import NotShownError
from gc3store.inspection.shape import KEY, shape_of
from gc3store.inspection.shown import formats
from gc3store.support.text import clean

__all__ = ["text"]

_MAX_TEXT: Final = 4000
_MAX_DEPTH: Final = 8


class _Full(Exception):  # noqa: N818 - it ends a walk
    """The budget is spent."""


class _Writer:
    def __init__(self, limit: int) -> None:
        self.pieces: list[str] = []
        self.left = limit

    def put(self, piece: str) -> None:
        self.pieces.append(piece)
        self.left -= len(piece)
        if self.left < 0:
            raise _Full


@formats("text")
def text(value: Any, *, limit: int = _MAX_TEXT) -> str:
    """Return a value as text, at most about `limit` characters.

    Examples
    --------
    >>> text({"energy": [0.5] * 3, "path": "<b>"})
    "{'energy': [0.5, 0.5, 0.5], 'path': '<b>'}"
    >>> text(list(range(1000)), limit=20)
    '[0, 1, 2, 3, 4, 5, 6, …'
    """
    writer = _Writer(limit)
    try:
        _write(writer, value, 0, set())
    except _Full:
        writer.pieces.append("…")
    return "".join(writer.pieces)


def _write(writer: _Writer, value: Any, depth: int, open_: set[int]) -> None:
    shape = shape_of(value)
    around = shape.brackets(value)
    if around is None:
        writer.put(shape.line(value))
        return
    start, end = around
    if id(value) in open_ or depth >= _MAX_DEPTH:
        writer.put(f"{start}…{end}")
        return
    open_.add(id(value))
    writer.put(start)
    with suppress(NotShownError):
        for at, entry in enumerate(shape.entries(value)):
            if at:
                writer.put(shape.separator(entry, value))
            if entry.sort == KEY:
                _write(writer, entry.key, depth + 1, open_)
                writer.put(": ")
            elif type(entry.key) is str and entry.key:
                writer.put(f"{clean(entry.key)}=")
            _write(writer, entry.value, depth + 1, open_)
    writer.put(end)
    open_.discard(id(value))
