"""IDs: making, parsing and validating them.

An ID reads ``Prefix.N``: a prefix that says what the object is (by default its
class name) and a number that is unique in the store and growing, so that IDs
sort by age and a person can type the number alone. Stores written by GC3Pie
keep theirs, which may be a bare number.
"""

from __future__ import annotations

import re

from gc3store.errors import InvalidIdError

__all__ = ["MAX_PREFIX", "check_id", "check_prefix", "make_id", "number_of", "prefix_for"]

#: Longest prefix, in characters. With 4 bytes a character and 18 digits an ID
#: stays below the 255 bytes that common file systems allow a name, with room
#: for a suffix.
MAX_PREFIX = 50

_ID = re.compile(r"(?:(?P<prefix>[^\W\d]\w{0,%d})\.)?(?P<number>0|[1-9][0-9]{0,17})" % (MAX_PREFIX - 1))
_PREFIX = re.compile(r"[^\W\d]\w{0,%d}" % (MAX_PREFIX - 1))


def check_id(id_: object) -> str:
    """Return `id_` if it can be an ID.

    Raises
    ------
    InvalidIdError
        If it is no string, or not of the form ``Prefix.N`` or ``N``. So neither
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
    if type(id_) is str and _ID.fullmatch(id_):
        return id_
    if isinstance(id_, str):
        # A subclass of str (GC3Pie's own IDs are one) is taken for what it says.
        plain = str.__str__(id_)
        if _ID.fullmatch(plain):
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
