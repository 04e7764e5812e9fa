"""What was found out about a catalogue, for as long as its database stays as it is.

Whoever scrolls through a sorted table asks for a hundred entries here and a hundred there, all of
the same order. A database without an index for that order sorts each time, or walks over
all that comes before. The numbers of a million entries in their order take up 8 MB; with
these at hand, a window anywhere is a look at a hundred rows by their keys.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable
from itertools import chain, islice
from typing import TypeVar, overload

__all__ = ["Answers", "packed_numbers"]

T = TypeVar("T")

#: Bytes of all that is kept of one connection.
_ROOM = 64 * 1024 * 1024
#: Entries of an order that is kept at most.
_LONGEST = 4_000_000
#: Questions that are noted as asked.
_NOTED = 1000
#: Bytes that an answer takes up besides numbers, and a row of one, about.
_SMALL = 1024


class Answers:
    """Answers to questions that were asked of one version of a database.

    Parameters
    ----------
    version : hashable
        What is another one after any change of the database.

    Examples
    --------
    >>> answers = Answers(1)
    >>> [answers.of("how many?", lambda: 42, least=2) for _ in range(3)]
    [None, 42, 42]
    """

    def __init__(self, version: Hashable) -> None:
        self.version = version
        self._found: dict[Hashable, object] = {}  # the one used last comes last
        self._asked: dict[Hashable, int] = {}
        self._size = 0

    @overload
    def of(self, question: Hashable, find: Callable[[], T]) -> T: ...

    @overload
    def of(self, question: Hashable, find: Callable[[], T], *, least: int) -> T | None: ...

    def of(self, question: Hashable, find: Callable[[], T], *, least: int = 1) -> T | None:
        """Return the answer to a question, or `None` as long as it was not asked `least` times.

        Parameters
        ----------
        question : hashable
            What tells it from others.
        find : callable
            Finds the answer, which is kept from then on.
        least : int
            How often it must be asked for finding the answer to be worth its while.
        """
        if question in self._found:
            answer = self._found[question] = self._found.pop(question)
            return answer  # type: ignore[return-value]
        if len(self._asked) > _NOTED:
            self._asked.clear()
        asked = self._asked[question] = self._asked.get(question, 0) + 1
        if asked < least:
            return None
        found = find()
        if _size_of(found) <= _ROOM // 2:
            self._found[question] = found
            self._size += _size_of(found)
        for oldest in list(self._found):
            if self._size <= _ROOM:
                break
            self._size -= _size_of(self._found.pop(oldest))
        return found


def _size_of(answer: object) -> int:
    if isinstance(answer, array):
        return _SMALL + answer.itemsize * len(answer)
    return _SMALL * (1 + len(answer) if isinstance(answer, list) else 1)


def packed_numbers(rows: Iterable[tuple[int]]) -> array[int] | None:
    """Return the numbers in rows of one column; `None` if they are too many to be kept."""
    numbers = array("q", islice(chain.from_iterable(rows), _LONGEST + 1))
    return numbers if len(numbers) <= _LONGEST else None
