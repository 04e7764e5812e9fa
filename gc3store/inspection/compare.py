"""Comparing inert values, and naming the differences.

Both walk through the values with a stack of their own and compare each of them once, so that depth,
cycles and sharing do not matter. Two cyclic values are the same when no walk tells them apart.
What is worked out when it is asked for, like the elements of arrays, may be far more than what is
stored: it is compared by what it is worked out from where that is enough, and one by one where it is
in proportion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from gc3store.errors import InspectionError
from gc3store.inspection.arrays import Values, stored
from gc3store.inspection.libraries import NotShownError
from gc3store.inspection.matching import EXTRA, MISSING, Keys, equal, kind_of
from gc3store.inspection.shape import shape_of
from gc3store.inspection.shown import formats
from gc3store.inspection.text import text
from gc3store.inspection.values import Inert, Pairs, attributes, class_of, parts

__all__ = ["Difference", "differences", "same"]


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

    MISSING = MISSING

    def __repr__(self) -> str:
        left, right = ("nothing" if v is MISSING else repr(v) for v in (self.left, self.right))
        return f"{self.path or 'value'}: {left} != {right}"


@formats("same")
def same(left: Any, right: Any) -> bool:
    """Whether two values are equal, walked as trees.

    Raises
    ------
    InspectionError
        If they were made so that this would take unreasonable time.
    """
    return next(_Walk().differences(left, right), None) is None


def differences(left: Any, right: Any, *, limit: int = 1000) -> list[Difference]:
    """Return where two values differ, at most `limit` places, or as many as a quarter of a gigabyte holds.

    Raises
    ------
    InspectionError
        If they were made so that this would take unreasonable time.

    Examples
    --------
    >>> import pickle
    >>> from gc3store.inspection import read
    >>> a, b = (read(pickle.dumps({"size": 8, "trace": [1, n]})) for n in (2, 3))
    >>> differences(a, b)
    [trace[1]: 2 != 3]
    """
    found, held = [], 0
    for difference in _Walk().differences(left, right):
        found.append(difference)
        held += sum(len(v) for v in (difference.left, difference.right) if isinstance(v, _BUFFERS))
        if len(found) >= limit or held > _HELD:
            break
    return found


#: So many characters and bytes of what differs are held.
_HELD: Final = 1 << 28
#: Characters that take about as long as a step.
_LONG: Final = 512

#: A step: its sort, (".", name), ("[", key), ("#", (number, shape)) among values of one type, ("{", None) or
#: ("", None), and what is there on both sides.
_Step = tuple[str, Any, Any, Any]

#: A place: the place around it, and the step from there, (".", name) or ("[", key).
_Place = tuple[Any, str, Any]


class _Walk:
    """One comparison.

    Values already held to be the same form classes. Two that are in one class need no
    second look, and each look joins two classes, so that there are no more looks
    than values, whatever the cycles: the equivalence test for automata of Hopcroft and Karp.
    """

    def __init__(self) -> None:
        self._classes = _Classes()
        self._keys = Keys(self._equal)
        self._verdicts: dict[tuple[int, int], bool] = {}
        self._allowance = 1 << 22
        self._seen: set[int] = set()

    def differences(self, left: Any, right: Any) -> Iterator[Difference]:
        """Yield the places where two values differ."""
        root: list[_Step] = [(".", "", left, right)]
        stack: list[tuple[_Place | None, Iterator[_Step], Any, Any]] = [(None, iter(root), left, right)]
        while stack:
            around, steps, *whole = stack[-1]
            try:
                step = next(steps, None)
            except NotShownError:
                yield Difference(_path(around), *whole)
                step = None
            if step is None:
                stack.pop()
                continue
            sort, key, a, b = step
            if a is b:
                continue
            place = (around, sort, key)
            kind = kind_of(a)
            if a is MISSING or b is MISSING or kind != kind_of(b):
                yield Difference(_path(place), a, b)
            elif not kind:
                # What was made for this look alone is not cached.
                if not (equal(a, b) if sort == "#" else self._equal(a, b)):
                    yield Difference(_path(place), a, b)
            elif self._classes.joined(a, b):
                continue
            elif not _alike(a, b):
                yield Difference(_path(place), a, b)
            else:
                walk = getattr(self, f"_walk_{shape_of(a).walk}")
                stack.append((place, walk(a, b), a, b))

    def _equal(self, a: Any, b: Any) -> bool:
        large = (isinstance(a, _BUFFERS) and len(a) > 1000) or (
            isinstance(a, int) and a.bit_length() > 10_000
        )
        if not large:
            return equal(a, b)
        key = (id(a), id(b))
        if key not in self._verdicts:
            self._verdicts[key] = equal(a, b)
            self._classes.keep(a, b)
        return self._verdicts[key]

    # A way of walking through values each.

    def _walk_sequence(self, a: Any, b: Any) -> Iterator[_Step]:
        for i, (left, right) in enumerate(zip_longest(a, b, fillvalue=MISSING)):
            yield "[", i, left, right

    def _walk_mapping(self, a: Any, b: Any) -> Iterator[_Step]:
        for key, value, found in self._keys.matched(a.items(), b.items()):
            # A name of a dictionary reads like an attribute: results.energy
            sort = "." if isinstance(key, str) and key.isidentifier() else "["
            yield (sort, key, MISSING, value) if found is EXTRA else (sort, key, value, found)

    def _walk_set(self, a: Any, b: Any) -> Iterator[_Step]:
        for key, value, found in self._keys.matched(((e, None) for e in a), ((e, None) for e in b)):
            if found is MISSING:
                yield "{", None, key, MISSING
            elif found is EXTRA:
                yield "{", None, MISSING, key
            elif value is not found:
                yield "{", None, value, found

    def _walk_attributes(self, a: Any, b: Any) -> Iterator[_Step]:
        return _named(vars(a), vars(b))

    def _walk_object(self, a: Inert, b: Inert) -> Iterator[_Step]:
        p, q = parts(a), parts(b)
        yield ".", "args", p.args, q.args
        yield ".", "kwargs", p.kwargs, q.kwargs
        yield from _stated(a, b)
        yield from self._walk_sequence(p.items, q.items)
        yield from self._walk_mapping(Pairs(p.pairs), Pairs(q.pairs))

    def _walk_values(self, a: Values, b: Values) -> Iterator[_Step]:
        yield from _named(a.labels, b.labels)
        if self._same_source(a.source, b.source):
            return
        self._pay(a.cost, a, b)
        for i, (left, right) in enumerate(zip(a.flat(), b.flat(), strict=True)):
            if isinstance(left, _BUFFERS) and len(left) >= _LONG:
                self._pay(len(left) // _LONG)  # it may be made anew for each place that refers to it
            yield "#", (i, a.shape), left, right

    def _walk_table(self, a: Any, b: Any) -> Iterator[_Step]:
        yield from _named(a.labels, b.labels)
        if a.shape == b.shape and not self._classes.joined(a.values, b.values):
            for i in range(a.shape[1]):
                yield "[", a.columns[i], a.values[i], b.values[i]

    def _same_source(self, left: tuple[Any, ...], right: tuple[Any, ...], depth: int = 0) -> bool:
        """Whether what two columns are worked out from is certainly the same."""
        if len(left) != len(right) or depth > 20:
            return False
        for a, b in zip(left, right, strict=True):
            if a is b:
                continue
            key = (id(a), id(b))
            if key not in self._verdicts:
                if isinstance(a, Values) and type(a) is type(b):
                    verdict = _alike(a, b) and self._same_source(a.source, b.source, depth + 1)
                elif isinstance(a, tuple) and isinstance(b, tuple):
                    verdict = self._same_source(a, b, depth + 1)
                else:
                    verdict = not kind_of(a) and not kind_of(b) and equal(a, b)
                self._verdicts[key] = verdict
                self._classes.keep(a, b)
            if not self._verdicts[key]:
                return False
        return True

    def _pay(self, count: int, *sources: Any) -> None:
        # What is stored is paid for when it is first met.
        for source in sources:
            for held in stored(source):
                if id(held) not in self._seen:
                    self._seen.add(id(held))
                    self._classes.keep(held, source)
                    self._allowance += len(held)
        if count > self._allowance:
            raise InspectionError(
                "These values stand for so much more than is stored of them that comparing them would take too long."
            )
        self._allowance -= count


def _alike(a: Any, b: Any) -> bool:
    """Whether what is in two values of one kind can be compared."""
    if isinstance(a, Values):
        return a.alike(b)
    return not isinstance(a, Inert) or class_of(a) == class_of(b)


_BUFFERS: Final = (str, bytes, bytearray, memoryview)


class _Classes:
    """Classes of values, by identity."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}
        self._alive: list[Any] = []

    def joined(self, a: Any, b: Any) -> bool:
        """Join the classes of two values; whether they were one already."""
        left, right = self._root(id(a)), self._root(id(b))
        if left == right:
            return True
        self._parents[left] = right
        self.keep(a, b)
        return False

    def keep(self, a: Any, b: Any) -> None:
        """Keep what is known by its address where it is."""
        self._alive += (a, b)

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
        if not sort:
            continue
        if sort == "#":
            pieces.append(_subscript(*key))
            continue
        if sort == "." and (not key or key.isidentifier()):
            pieces.append(f".{key}" if key else "")
        elif sort == "{":
            pieces.append("{…}")
        else:
            pieces.append(f"[{text(key, limit=60)}]")
    path = "".join(reversed(pieces)).removeprefix(".")
    return path if place is None else f"…{path}"


def _subscript(number: int, shape: tuple[int, ...]) -> str:
    """Return how an element of an array is written of which the number is known."""
    steps = []
    for length in reversed(shape):
        number, step = divmod(number, length)
        steps.append(f"[{step}]")
    return "".join(reversed(steps))


def _stated(a: Inert, b: Inert) -> Iterator[_Step]:
    # States, which many objects may share, are values like others, not copied into each.
    left, right = ([_flat(state) for state in parts(value).states] for value in (a, b))
    if [*map(len, left)] != [*map(len, right)]:
        yield from _named(attributes(a), attributes(b))
        return
    for states in zip(left, right, strict=True):
        for x, y in zip(*states, strict=True):
            plain = kind_of(x) == kind_of(y) == "dict"
            yield "" if plain else ".", None if plain else "state", x, y


def _flat(state: Any) -> tuple[Any, ...]:
    # Attributes and slots come as a pair.
    return state if isinstance(state, tuple) and len(state) == 2 else (state,)


def _named(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[_Step]:
    for name in dict.fromkeys([*a, *b]):
        yield ".", name, a.get(name, MISSING), b.get(name, MISSING)
