"""A short string that shows what an object is, for types known to be harmless to show.

Made once, when the object is saved, so that looking at a store reads no payloads.
A user's own ``__repr__`` is never called: it may take for ever, or fail.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

__all__ = ["MAX_PREVIEW", "has_preview", "preview"]

#: Longest preview, in characters.
MAX_PREVIEW = 200

_SCALARS = frozenset((int, float, complex, bool, type(None), str, bytes))
_CONTAINERS = frozenset((list, tuple, dict, set, frozenset))


def has_preview(cls: type) -> bool:
    """Whether instances of `cls` are of a type that can be shown."""
    module = cls.__module__.partition(".")[0]
    return (
        cls in _SCALARS
        or cls in _CONTAINERS
        or (module == "numpy" and cls.__name__ == "ndarray")
        or (module == "pandas" and cls.__name__ in ("DataFrame", "Series"))
    )


def preview(obj: Any) -> str | None:
    """Return a short string for numbers, strings, containers, arrays and frames, else `None`.

    >>> preview({"energy": -1.75, "spins": [1, -1, 1, 1, 1, 1, 1, 1]})
    "{'energy': -1.75, 'spins': [1, -1, 1, 1, 1, 1, ... 8 in all]}"
    """
    cls = type(obj)
    if cls in _SCALARS or cls in _CONTAINERS:
        text = _text(obj, 2)
    elif not has_preview(cls):
        return None
    elif cls.__name__ == "ndarray":
        text = _array(obj)
    else:
        text = _frame(obj)
    return text if len(text) <= MAX_PREVIEW else text[: MAX_PREVIEW - 3] + "..."


def _text(obj: Any, depth: int) -> str:
    cls = type(obj)
    if cls is int and obj.bit_length() > 400:  # writing out a huge number takes quadratic time
        return f"int of {obj.bit_length()} bits"
    if cls in (str, bytes):
        return repr(obj if len(obj) <= MAX_PREVIEW else obj[:MAX_PREVIEW])
    if cls in _SCALARS:
        return repr(obj)
    if cls not in _CONTAINERS:
        return f"<{cls.__name__}>"
    if not obj:
        return repr(obj)
    if depth == 0:
        return f"<{cls.__name__} of {len(obj)}>"
    shown = 6
    if cls is dict:
        parts = [f"{_text(k, 0)}: {_text(v, depth - 1)}" for k, v in islice(obj.items(), shown)]
    else:
        parts = [_text(value, depth - 1) for value in islice(obj, shown)]
    if len(obj) > shown:
        parts.append(f"... {len(obj)} in all")
    inside = ", ".join(parts)
    if cls is list:
        return f"[{inside}]"
    if cls is tuple:
        return f"({inside},)" if len(obj) == 1 else f"({inside})"
    return f"{{{inside}}}" if cls in (dict, set) else f"frozenset({{{inside}}})"


def _array(array: Any) -> str:
    head = f"array {'x'.join(map(str, array.shape)) or 'scalar'} {array.dtype}"
    if array.dtype.hasobject or not array.size:
        return head
    values = ", ".join(str(value) for value in array.flat[:6].tolist())
    return f"{head}: {values}{', ...' if array.size > 6 else ''}"


def _frame(frame: Any) -> str:
    if type(frame).__name__ == "Series":
        return f"Series of {len(frame)} {frame.dtype}"
    columns = ", ".join(f"{name} {dtype}" for name, dtype in islice(frame.dtypes.items(), 8))
    more = f", ... {frame.shape[1]} in all" if frame.shape[1] > 8 else ""
    return f"DataFrame {frame.shape[0]}x{frame.shape[1]}: {columns}{more}"
