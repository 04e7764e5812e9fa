"""Values of one type that are decoded when they are asked for, and how they are walked and written."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import islice
from math import prod
from typing import Any

from gc3store.inspection.shape import TIMES, UNPLACED, Entry, Shape
from gc3store.inspection.shown import Shown
from gc3store.support.text import clean

__all__ = ["Values", "ValuesShape", "stored"]


class Values(Shown):
    """Values of one type, in any number of dimensions.

    Attributes
    ----------
    dtype : Any
        Their type, which is shown as its text.
    shape : tuple of int
        How many there are in each dimension.
    source : tuple
        What the values are worked out from; two that are alike and have the same source are the same.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    dtype: Any
    shape: tuple[int, ...]
    source: tuple[Any, ...]

    @property
    def size(self) -> int:
        """How many values there are."""
        return prod(self.shape)

    @property
    def cost(self) -> int:
        """About how many steps it takes to compare all values."""
        return self.size

    @property
    def labels(self) -> Mapping[str, Any]:
        """What the values are called, by attribute."""
        return {}

    @abstractmethod
    def flat(self) -> Iterator[Any]:
        """Yield all values, in the order in which nested lists would hold them."""

    def alike(self, other: Any) -> bool:
        """Whether number and type of the values are the same."""
        return self.shape == other.shape and bool(self.dtype == other.dtype)

    def head(self, count: int) -> list[Any]:
        """Return the first values, in the order in which nested lists would hold them."""
        return list(islice(self.flat(), count))

    def __bool__(self) -> bool:
        return True


class ValuesShape(Shape):
    """Has values of one type."""

    walk = "values"

    def brackets(self, value: Values) -> tuple[str, str] | None:
        """Return what stands around the values; `None` where there are no dimensions."""
        return (f"<{self.line(value)}: ", ">") if value.shape else None

    def count(self, value: Values) -> int:
        """Return how many values there are."""
        return value.size

    def entries(self, value: Values) -> Iterator[Entry]:
        """Yield what is in a value."""
        return (Entry(UNPLACED, "", item) for item in value.flat())

    def type_text(self, value: Values) -> str:
        """Return their type, in few characters."""
        return clean(str(value.dtype), 24)

    def shape_text(self, value: Values) -> str:
        """Return their number in each dimension."""
        return TIMES.join(f"{length:,}" for length in value.shape)


def stored(source: Any) -> Iterator[Any]:
    """Yield the byte strings and lists that something is worked out from."""
    if isinstance(source, Values):
        yield from stored(source.source)
    elif isinstance(source, tuple):
        for part in source:
            yield from stored(part)
    elif isinstance(source, (str, bytes, bytearray, memoryview, list)):
        yield source
