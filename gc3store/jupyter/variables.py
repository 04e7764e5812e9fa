"""Variables of a notebook: which names they can have, a good one for an object, and which could be saved."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
import unicodedata
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from gc3store.errors import UsageError
from gc3store.record import Record

__all__ = ["Variable", "check_variable", "suggest", "variables"]

_TIMES = "\N{MULTIPLICATION SIGN}"

#: Names that IPython needs for itself.
RESERVED = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


def check_variable(name: object) -> str:
    """Return `name` as Python would spell it, if a variable can have it.

    >>> check_variable("run_26")
    'run_26'
    >>> check_variable("class")
    Traceback (most recent call last):
        ...
    gc3store.errors.UsageError: 'class' is a word of Python's own: choose another name.
    """
    if not isinstance(name, str) or not name:
        raise UsageError("A variable needs a name.")
    shown = repr(name if len(name) <= 60 else name[:57] + "...")
    plain = unicodedata.normalize("NFKC", name)
    if not plain.isidentifier() or len(plain) > 255:
        raise UsageError(f"{shown} cannot name a variable: use letters, digits and _, with no digit first.")
    if keyword.iskeyword(plain):
        raise UsageError(f"{shown} is a word of Python's own: choose another name.")
    if plain in RESERVED or plain.startswith("__") or re.fullmatch(r"_+|_i+|_[io]?h|_i?\d+|_dh", plain):
        raise UsageError(f"{shown} is a name that IPython uses itself: choose another.")
    if hasattr(builtins, plain):
        raise UsageError(f"{shown} would hide Python's own {plain}: choose another name.")
    return plain


def suggest(record: Record | str, namespace: Container[str] = ()) -> str:
    """Return a free variable name for an object, made from its name or its ID.

    >>> suggest(Record(id="IsingRun.26", name="16x16 cold"), {"x"})
    'x16x16_cold'
    >>> suggest("IsingRun.26"), suggest("47"), suggest("dict.3", {"dict_3"})
    ('ising_run_26', 'obj_47', 'dict_3_2')
    """
    name, id_ = (record.name, record.id) if isinstance(record, Record) else (None, record)
    if name:
        words = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name[:200])).strip("_")[:60].rstrip("_")
        if words[:1].isdigit():
            words = f"x{words}"
    else:
        words = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", id_[-80:])).strip("_").lower()
        if words[:1].isdigit():
            words = f"obj_{words}"
    try:
        words = check_variable(words)
    except UsageError:
        words = re.sub(r"\W", "", f"{words}_".lstrip("_")) or "obj"
        words = words if words.isidentifier() else "obj"
    free, n = words, 1
    while free in namespace:
        n += 1
        free = f"{words}_{n}"
    return free


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the notebook that could be saved.

    Attributes
    ----------
    name, type : str
        Its name and the class of its value.
    size : int
        Bytes that the value itself takes; what it refers to is counted only for arrays and frames.
    shape : str
        Dimensions of an array or a frame, or the length of a container.
    """

    name: str
    type: str
    size: int
    shape: str


def variables(namespace: Mapping[str, Any], hidden: Collection[str] = ()) -> list[Variable]:
    """Return the variables one may want to save: no modules, no ``_`` names, none that IPython made.

    Only attributes of known types are looked at, so no code of the user's runs.
    """
    found = []
    for name, value in list(namespace.items()):
        if name.startswith("_") or name in hidden or name in RESERVED or issubclass(type(value), ModuleType):
            continue
        found.append(Variable(name, type(value).__qualname__, *_extent(value)))
    return sorted(found, key=lambda variable: variable.name.casefold())


def _extent(value: Any) -> tuple[int, str]:
    root = type(value).__module__.partition(".")[0]
    try:
        if root == "numpy" and hasattr(value, "nbytes") and hasattr(value, "shape"):
            return int(value.nbytes), _TIMES.join(map(str, value.shape))
        if root == "pandas" and hasattr(value, "memory_usage") and hasattr(value, "shape"):
            used = value.memory_usage()
            return int(used if isinstance(used, int) else used.sum()), _TIMES.join(map(str, value.shape))
        if type(value) in (list, tuple, dict, set, frozenset, str, bytes):
            return sys.getsizeof(value), str(len(value))
        return object.__sizeof__(value), ""
    except (TypeError, ValueError, AttributeError):
        return 0, ""
