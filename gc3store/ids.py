"""IDs: making, parsing and validating them.

An ID reads ``Prefix.N``: a prefix that says what the object is (by default its
class name) and a number that is unique in the store and growing, so that IDs
sort by age and a person can type the number alone. Stores written by GC3Pie
keep theirs, which may be a bare number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gc3store.errors import InvalidIdError

__all__ = [
    "MAX_BYTES",
    "MAX_PREFIX",
    "check_id",
    "check_prefix",
    "is_id",
    "make_id",
    "number_of",
    "numbers_of",
    "prefix_for",
]

#: Longest prefix of a new ID, in characters. With 4 bytes a character and 18 digits
#: an ID stays below `MAX_BYTES`.
MAX_PREFIX = 50

#: Longest ID, in bytes: common file systems allow a name 255, and there must be room for a suffix.
#: GC3Pie takes names of classes as they are, so those of its objects can be longer than ours.
MAX_BYTES = 240

_ID = re.compile(r"(?:(?P<prefix>[^\W\d]\w*)\.)?(?P<number>0|[1-9][0-9]{0,17})")
_PREFIX = re.compile(r"[^\W\d]\w{0,%d}" % (MAX_PREFIX - 1))


def is_id(text: str) -> bool:
    """Whether a string can be an ID.

    >>> is_id("IsingRun.26"), is_id("26"), is_id("IsingRun"), is_id("x" * 300 + ".1")
    (True, True, False, False)
    """
    return _ID.fullmatch(text) is not None and (len(text) * 4 <= MAX_BYTES or len(text.encode()) <= MAX_BYTES)


def check_id(id_: object) -> str:
    """Return `id_` if it can be an ID.

    Raises
    ------
    InvalidIdError
        If it is not a string, or not of the form ``Prefix.N`` or ``N``. So neither
        a path nor SQL ever gets further than this.

    Examples
    --------
    >>> check_id("IsingRun.26")
    'IsingRun.26'
    >>> check_id("../etc/passwd")
    Traceback (most recent call last):
        ...
    gc3store.errors.InvalidIdError: '../etc/passwd' is not an ID: an ID reads like 'IsingRun.26'.
    """
    # As `is_id`, for an ID whose characters may have four bytes each.
    if type(id_) is str and _ID.fullmatch(id_) is not None and len(id_) * 4 <= MAX_BYTES:
        return id_
    if isinstance(id_, str):
        # A subclass of str (GC3Pie's own IDs are one) is taken for what it says.
        plain = str.__str__(id_)
        if is_id(plain):
            return plain
        shown = repr(plain if len(plain) <= 60 else plain[:57] + "...")
    else:
        shown = f"an object of type {type(id_).__name__}"
    raise InvalidIdError(f"{shown} is not an ID: an ID reads like 'IsingRun.26'.")


def number_of(id_: str) -> int:
    """Return the number in a valid ID.

    >>> number_of("IsingRun.26"), number_of("47")
    (26, 47)
    """
    return int(id_[id_.rfind(".") + 1 :])


def numbers_of(ids: Iterable[str]) -> list[int]:
    """Return the numbers in `ids`, without those that are garbled and are not IDs.

    >>> numbers_of(["IsingRun.26", "47", "IsingR\ufffdn.48"])
    [26, 47]
    """
    return [number_of(id_) for id_ in ids if is_id(id_)]


def check_prefix(prefix: object) -> str:
    """Return `prefix` if IDs can begin with it, else raise `InvalidIdError`."""
    if isinstance(prefix, str) and _PREFIX.fullmatch(prefix):
        return str(prefix)
    raise InvalidIdError(
        f"{prefix!r:.60} cannot begin an ID: a prefix is a Python name of at most {MAX_PREFIX} characters."
    )


def prefix_for(cls: type) -> str:
    """Return the prefix for objects of class `cls`: its name, made fit.

    >>> prefix_for(int), prefix_for(type("x" * 300, (), {})) == "x" * MAX_PREFIX
    ('int', True)
    """
    name = cls.__name__
    if _PREFIX.fullmatch(name):
        return name
    name = re.sub(r"\W", "_", name)[:MAX_PREFIX]
    return name if _PREFIX.fullmatch(name) else f"_{name}"[:MAX_PREFIX]


def make_id(prefix: str, number: int) -> str:
    """Return the ID of object `number` with `prefix`.

    >>> make_id("IsingRun", 26)
    'IsingRun.26'
    """
    return f"{prefix}.{number}"
