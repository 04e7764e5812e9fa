"""Paths to what is inside an object, written as in Python.

``execution.exitcode``, ``results["energy"]``, ``tasks[0].jobname``: what `table` and user
columns take for a column. A path is evaluated on a live object or on the inert
values of `gc3store.inspection`, with the same result. A step ``.name`` is an attribute, or else
the item of a mapping with that key, so that ``results.energy`` reads a dictionary; a
path may begin with a dot, which tells ``.size`` from the field ``size`` of the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from gc3store.errors import InvalidQueryError
from gc3store.persistable import MISSING

__all__ = ["MISSING", "Path", "evaluate", "follow", "parse"]


_STEP: Final = re.compile(
    r"""\.?(?P<name>[^\W\d]\w*)
      | \[\s*(?P<number>-?\d{1,18})\s*\]
      | \[\s*(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)')\s*\]""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Path:
    """A path, taken apart.

    Attributes
    ----------
    text : str
        As it was written.
    steps : tuple of (str, str or int)
        ``(".", name)`` for an attribute, ``("[", key)`` for an item.
    """

    text: str
    steps: tuple[tuple[str, str | int], ...]

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1000)
def parse(text: str) -> Path:
    """Return the path that a string means.

    Raises
    ------
    InvalidQueryError
        If it is not a path; the message says which part is not understood.

    Examples
    --------
    >>> parse("tasks[0].jobname").steps
    (('.', 'tasks'), ('[', 0), ('.', 'jobname'))
    >>> parse("results['energy'").steps
    Traceback (most recent call last):
        ...
    gc3store.errors.InvalidQueryError: "results['energy'" is not a path: "['energy'" is not understood; ...
    """
    steps: list[tuple[str, str | int]] = []
    at = 0
    while at < len(text) or not steps:
        match = _STEP.match(text, at)
        # A name needs a dot before it, except at the beginning.
        if match is None or (match["name"] and at and text[at] != "."):
            raise InvalidQueryError(
                f"{text!r} is not a path: {text[at:]!r} is not understood; "
                f'write it like results["energy"] or tasks[0].jobname.',
                path=text,
            )
        if match["name"]:
            steps.append((".", match["name"]))
        elif match["number"]:
            steps.append(("[", int(match["number"])))
        else:
            quoted = match["double"] if match["double"] is not None else match["single"]
            steps.append(("[", re.sub(r"\\(.)", r"\1", quoted)))
        at = match.end()
    return Path(text, tuple(steps))


def evaluate(path: str | Path, obj: Any, default: Any = MISSING) -> Any:
    """Return what `path` leads to from `obj`, or `default` where there is no such thing.

    Live objects may run code of theirs and raise anything: then there is nothing there.

    Examples
    --------
    >>> evaluate("runs[1].energy", {"runs": [{}, {"energy": -1.9}]})
    -1.9
    >>> evaluate("runs[7].energy", {"runs": []})
    MISSING
    """
    path = parse(path) if isinstance(path, str) else path
    try:
        found = follow(path, obj)
    except Exception:  # noqa: BLE001
        return default
    return default if found is MISSING else found


def follow(path: Path, obj: Any) -> Any:
    """Return what `path` leads to, or `MISSING`; raise what code of the object's own raises."""
    for sort, key in path.steps:
        obj = _step(obj, sort, key)
        if obj is MISSING:
            break
    return obj


def _step(obj: Any, sort: str, key: Any) -> Any:
    if sort == ".":
        if isinstance(obj, Mapping) and key in obj:
            return obj[key]
        try:
            return getattr(obj, key)
        except AttributeError:
            if isinstance(obj, (Mapping, list, tuple)) or not hasattr(type(obj), "__getitem__"):
                return MISSING
    try:
        return obj[key]
    except (LookupError, TypeError):
        return MISSING
