"""Comparing inert values, and naming the differences.

Both walk through the values with a stack of their own and compare each of them once, so that depth,
cycles and sharing do not matter. Two cyclic values are the same when no walk tells them apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from types import SimpleNamespace
from typing import Any, Final

from gc3store.inspection.arrays import Array
from gc3store.inspection.display import text
from gc3store.inspection.frames import Column, Frame
from gc3store.inspection.values import Inert, Name, Pairs, Reference, attributes, class_path, parts

__all__ = ["Difference", "differences", "same"]

_MISSING: Final = object()
_EXTRA: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two values differ.

    Attributes
    ----------
    path : str
        Where, as one would write it: ``execution.exitcode``, ``tasks[3]``; empty for the whole.
    left, right : Any
        What is there; `Difference.MISSING` where there is nothing.
    """

    path: str
    left: Any
    right: Any

    MISSING = _MISSING

    def __repr__(self) -> str:
        left, right = ("nothing" if v is _MISSING else repr(v) for v in (self.left, self.right))
        return f"{self.path or 'value'}: {left} != {right}"


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal, walked as trees."""
    return next(_walk(left, right), None) is None


def differences(left: Any, right: Any, *, limit: int = 1000) -> list[Difference]:
    """Return where two values differ, at most `limit` places.

    Examples
    --------
    >>> import pickle
    >>> from gc3store.inspection import read
    >>> a, b = (read(pickle.dumps({"size": 8, "trace": [1, n]})) for n in (2, 3))
    >>> differences(a, b)
    [trace[1]: 2 != 3]
    """
    found = []
    for difference in _walk(left, right):
        found.append(difference)
        if len(found) >= limit:
            break
    return found


#: A place: the place around it, and the step from there, (".", name) or ("[", key).
_Place = tuple[Any, str, Any]


def _walk(left: Any, right: Any) -> Iterator[Difference]:
    # Values already held to be the same form classes. Two that are in one class need no
    # second look, and each look joins two classes, so that there are no more looks
    # than values, whatever the cycles: the equivalence test for automata of Hopcroft and Karp.
    classes = _Classes()
    root: list[tuple[str, Any, Any, Any]] = [(".", "", left, right)]
    stack: list[tuple[_Place | None, Iterator[tuple[str, Any, Any, Any]]]] = [(None, iter(root))]
    while stack:
        around, steps = stack[-1]
        step = next(steps, None)
        if step is None:
            stack.pop()
            continue
        sort, key, a, b = step
        if a is b:
            continue
        place = (around, sort, key)
        kind = _kind(a)
        if a is _MISSING or b is _MISSING or kind != _kind(b):
            yield Difference(_path(place), a, b)
        elif not kind:
            if not _equal(a, b):
                yield Difference(_path(place), a, b)
        elif classes.joined(a, b):
            continue
        elif (kind == "inert" and class_path(a) != class_path(b)) or (
            kind == "array" and (a.shape != b.shape or str(a.dtype) != str(b.dtype))
        ):
            yield Difference(_path(place), a, b)
        elif not (kind == "array" and isinstance(a, Array) and isinstance(b, Array) and a.same_bytes(b)):
            stack.append((place, _children(a, b)))


class _Classes:
    """Classes of values, by identity."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}
        self._alive: list[Any] = []  # what is known by its address must stay where it is

    def joined(self, a: Any, b: Any) -> bool:
        """Join the classes of two values; whether they were one already."""
        left, right = self._root(id(a)), self._root(id(b))
        if left == right:
            return True
        self._parents[left] = right
        self._alive += (a, b)
        return False

    def _root(self, key: int) -> int:
        parents = self._parents
        root = key
        while (up := parents.get(root, root)) != root:
            root = up
        while key != root:
            parents[key], key = root, parents[key]
        return root


def _path(place: _Place | None) -> str:
    """Return a place as one would write it; of one very deep inside, the end."""
    pieces: list[str] = []
    while place is not None and len(pieces) < 50:
        place, sort, key = place
        if sort == "." and (not key or key.isidentifier()):
            pieces.append(f".{key}" if key else "")
        elif sort == "{":
            pieces.append("{…}")
        else:
            pieces.append(f"[{text(key, limit=60)}]")
    path = "".join(reversed(pieces)).removeprefix(".")
    return path if place is None else f"…{path}"


_KINDS: Final[tuple[tuple[tuple[type, ...], str], ...]] = (
    ((Inert,), "inert"),
    ((list, deque), "list"),
    ((tuple,), "tuple"),
    ((dict,), "dict"),
    ((set, frozenset), "set"),
    ((Array, Column), "array"),
    ((Frame,), "frame"),
    ((SimpleNamespace,), "namespace"),
)


_known: dict[type, str] = {}


def _kind_of(type_: type) -> str:
    kind = _known.get(type_)
    if kind is None:
        kind = next((kind for types, kind in _KINDS if issubclass(type_, types)), "")
        if len(_known) < 1000:
            _known[type_] = kind
    return kind


def _kind(value: Any) -> str:
    if type(value) is Pairs:
        return "dict" if value.kind == "dict" else "set"
    return _kind_of(type(value))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, (Name, Reference)) or isinstance(b, (Name, Reference)):
        return type(a) is type(b) and bool(a == b)
    try:
        # NaN is where NaN was; all else is itself.
        return bool(a == b) or (type(a) is type(b) and bool(a != a) and bool(b != b))
    except Exception:  # noqa: BLE001 - numbers may refuse to be compared
        return type(a) is type(b) and text(a) == text(b)


def _children(a: Any, b: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    kind = _kind(a)
    if kind in ("list", "tuple", "array"):
        if kind == "array" and isinstance(a, Array) and not a.shape:
            yield "[", (), a[()], b[()]
        else:
            yield from _items(a, b)
    elif kind == "dict":
        yield from _keyed(a, b)
    elif kind == "set":
        for key, value, found in _matched(((e, None) for e in a), ((e, None) for e in b)):
            if found is _MISSING:
                yield "{", None, key, _MISSING
            elif found is _EXTRA:
                yield "{", None, _MISSING, key
            elif value is not found:
                yield "{", None, value, found
    elif kind == "namespace":
        yield from _named(vars(a), vars(b))
    elif kind == "frame":
        yield ".", "columns", a.columns, b.columns
        yield ".", "index", a.index, b.index
        if a.shape == b.shape:
            for i in range(a.shape[1]):
                yield "[", a.column(i).name, a.column(i), b.column(i)
    else:
        p, q = parts(a), parts(b)
        yield ".", "args", p.args, q.args
        yield ".", "kwargs", p.kwargs, q.kwargs
        yield from _named(attributes(a), attributes(b))
        if not attributes(a) and not attributes(b):
            yield ".", "state", p.states, q.states
        yield from _items(p.items, q.items)
        yield from _keyed(Pairs(p.pairs), Pairs(q.pairs))


def _items(a: Any, b: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    for i, (left, right) in enumerate(zip_longest(a, b, fillvalue=_MISSING)):
        yield "[", i, left, right


def _named(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[str, Any, Any, Any]]:
    for name in dict.fromkeys([*a, *b]):
        yield ".", name, a.get(name, _MISSING), b.get(name, _MISSING)


def _keyed(a: Any, b: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    for key, value, found in _matched(a.items(), b.items()):
        # A name of a dictionary reads like an attribute: results.energy
        sort = "." if isinstance(key, str) and key.isidentifier() else "["
        yield (sort, key, _MISSING, value) if found is _EXTRA else (sort, key, value, found)


def _matched(
    left: Iterable[tuple[Any, Any]], right: Iterable[tuple[Any, Any]]
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each key of `left` with its values in both, then what is only in `right`."""
    simple: dict[Any, Any] = {}
    others: dict[str, list[tuple[Any, Any]]] = {}
    for key, value in right:
        if _simple(key):
            simple[key] = value
        else:
            others.setdefault(_bucket(key), []).append((key, value))
    for key, value in left:
        if _simple(key):
            yield key, value, simple.pop(key, _MISSING)
            continue
        bucket = others.get(_bucket(key), [])
        for i, (other, found) in enumerate(bucket[:100]):
            if same_key(key, other):
                del bucket[i]
                yield key, value, found
                break
        else:
            if bucket and _kind(key) == _kind(bucket[0][0]) != "":
                # Keys that no dictionary could have: compared in order, like values.
                other, found = bucket.pop(0)
                yield key, (key, value), (other, found)
            else:
                yield key, value, _MISSING
    for key, value in [*simple.items(), *(pair for bucket in others.values() for pair in bucket)]:
        yield key, value, _EXTRA


def _bucket(key: Any, depth: int = 0) -> str:
    """Return a text that is the same for equal keys, and seldom otherwise."""
    if isinstance(key, int):
        return hex(key)
    if isinstance(key, (frozenset, Pairs)):
        return f"set of {len(key)}"  # its elements have no order
    if isinstance(key, tuple):
        return f"({','.join(_bucket(c, depth + 1) for c in key[:16])})" if depth < 3 else f"{len(key)}"
    return text(key, limit=60)


def _simple(key: Any) -> bool:
    # Numbers may be chosen to collide, and are looked up by how they are written instead.
    return type(key) in (str, bytes, type(None))


def same_key(a: Any, b: Any, depth: int = 0) -> bool:
    """Whether two keys are equal: a few levels deep, then by kind."""
    if isinstance(a, Inert) and isinstance(b, Inert):
        p, q = parts(a), parts(b)
        return (
            class_path(a) == class_path(b)
            and len(p.args) == len(q.args)
            and all(
                _equal(x, y) if not _kind(x) and not _kind(y) else type(x) is type(y)
                for x, y in zip(p.args, q.args, strict=True)
            )
        )
    if isinstance(a, tuple) and isinstance(b, tuple):
        if depth > 2 or len(a) != len(b) or len(a) > 64:
            return False
        return all(x is y or same_key(x, y, depth + 1) for x, y in zip(a, b, strict=True))
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return len(a) == len(b) <= 64 and same(a, b)
    return not _kind(a) and not _kind(b) and _equal(a, b)
