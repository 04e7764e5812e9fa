"""What builds values: functions that are registered by the names that payloads mention.

A pickle writes a date as "call ``datetime.date`` with these four bytes". Nothing here calls what a pickle names:
each module of `gc3store.inspection.types` registers, by exact dotted names, functions of its own, each of which takes
arguments in the types and ranges that it expects, and makes the value with a constructor that is harmless for them.
(``Fraction("1e999999999")`` is not, nor is ``bytes(10**10)``.) Anything else raises `CannotConvert`, and is
shown as the call that it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar

from gc3store.inspection.budget import Budget, CannotConvert
from gc3store.inspection.libraries import NotShownError
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import (
    BYTEARRAY,
    BYTES,
    CALL,
    DICT,
    LIST,
    NEW,
    PAIRS,
    STATE,
    TEXT,
    Node,
)

__all__ = [
    "BUILDERS",
    "FACTORIES",
    "MAX_BITS",
    "MAX_COPY",
    "MENTIONED",
    "REFUSALS",
    "Build",
    "Builder",
    "Reader",
    "appended",
    "builds",
    "call_of",
    "items_of",
    "list_of",
    "mapping_of",
    "pairs_of",
    "raw_bytes",
    "state_of",
    "take",
    "text_of",
    "unpacked",
    "value_of",
]

#: The longest bytes or string that is copied in order to show it as itself.
MAX_COPY: Final = 1 << 24
#: The largest number in a plain value: its arithmetic, hash and digits cost more than its bytes.
MAX_BITS: Final = 1 << 14

#: What building a value from checked arguments may raise.
REFUSALS: Final = (
    CannotConvert,
    NotShownError,
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)

_T = TypeVar("_T")


class Reader(Protocol):
    """What builders are given to convert the values within theirs.

    Attributes
    ----------
    references : sequence of str
        The record's list of references.
    follow : callable or None
        Returns another record's inert value.
    budget : Budget
        What may be spent.
    """

    references: Sequence[str]
    follow: Callable[[str], Any] | None
    budget: Budget

    def value(self, raw: Any) -> Any:
        """Return what `raw` means; what it contains is filled in later."""

    def values(self, raws: Iterable[Any]) -> list[Any]:
        """Return what several raw values mean."""

    def later(self, fill: Callable[..., None], *args: Any) -> None:
        """Have `fill` called with `args` once what is being made can be filled."""

    def once(self, build: Callable[[Any, Reader], _T], raw: Any) -> _T:
        """Return what `build` makes of `raw`, made once however many ask for it."""

    def mapping(self, flat: Sequence[Any], made: Any) -> Any:
        """Return `made` with these keys and values in turn, or `Pairs` where keys cannot be hashed."""

    def keys(self, raws: Sequence[Any]) -> list[Any] | None:
        """Return keys or elements that are safe to hash, in bounded time; else `None`."""

    def elements(
        self, raws: Sequence[Any], make: Callable[[Iterable[Any]], Any], kind: Literal["set", "frozenset"]
    ) -> Any:
        """Return a set, by `make`, or `Elements` where they cannot be hashed."""


Build = Callable[[tuple[Any, ...], Node, Reader], Any]
_B = TypeVar("_B", bound=Build)


@dataclass(frozen=True, slots=True)
class Builder:
    """How a call that a payload mentions is understood.

    Attributes
    ----------
    build : callable
        Called with the raw arguments, the node and the reader; returns the value.
    makes : callable or None
        Returns the class of what is made of the raw arguments; `None`: what is called is the class.
    holds : bool
        Whether what is made holds other values of the payload, which are converted with it.
    acts : bool
        Whether the function, where it is really called, may do more than make a value.
    changes : bool
        Whether it is understood what is done to the value later: states that are set, items that are added.
    """

    build: Build
    makes: Callable[[tuple[Any, ...]], str] | None
    holds: bool
    acts: bool
    changes: bool


#: What builds values, by exact dotted name. All are there once `gc3store.inspection.types` is imported.
BUILDERS: Final[dict[str, Builder]] = {}
#: Classes that payloads mention as arguments of these.
MENTIONED: Final[set[str]] = {"builtins.object"}


def builds(
    *names: str,
    makes: str | Callable[[tuple[Any, ...]], str] | None = None,
    mentions: Iterable[str] = (),
    holds: bool = False,
    acts: bool = False,
    changes: bool = False,
) -> Callable[[_B], _B]:
    """Register a function as what builds the values of calls; see `Builder`.

    Parameters
    ----------
    *names : str
        What is called, by exact dotted names.
    makes : str or callable, optional
        The class of what is made, where it is not what is called.
    mentions : iterable of str
        Classes that are mentioned as arguments.
    holds, acts, changes : bool
        As the attributes of `Builder`.
    """
    of = (lambda _: makes) if isinstance(makes, str) else makes

    def register(build: _B) -> _B:
        BUILDERS.update(dict.fromkeys(names, Builder(build, of, holds, acts, changes)))
        MENTIONED.update(mentions)
        return build

    return register


#: Functions that make an object of a class that is their first argument.
FACTORIES: Final = frozenset(
    {f"copyreg.{name}" for name in ("__newobj__", "__newobj_ex__", "_reconstructor")}
    | {f"gc3store.persistable.{name}" for name in ("construct", "new")}
)


def unpacked(name: str, args: Any) -> tuple[Any, Any, Any] | None:
    """Return class, arguments and keywords of an object that one of `FACTORIES` was to make; else `None`."""
    if name not in FACTORIES or type(args) is not tuple or not args:
        return None
    if name not in ("copyreg.__newobj_ex__", "copyreg._reconstructor"):
        return args[0], args[1:], None
    if len(args) != 3:
        return None
    cls, second, third = args
    if name == "copyreg.__newobj_ex__":
        return cls, second, third
    return cls, () if callee(second) == "builtins.object" else (third,), None


# Arguments.


def call_of(raw: Any) -> tuple[str, tuple[Any, ...]]:
    """Return what a node calls, by dotted name, and the arguments, if nothing was done to the result."""
    if type(raw) is not list or raw[2] not in (CALL, NEW) or len(raw) != 3 or type(raw[1]) is not tuple:
        raise CannotConvert
    return callee(raw[0]), raw[1]


def value_of(raw: Any, type_: type[_T], reader: Reader) -> _T:
    """Return what a node means, if it is of this type."""
    value = reader.value(raw)
    if not isinstance(value, type_):
        raise CannotConvert
    return value


def state_of(node: Node) -> Any:
    """Return the one state that was set on a node; `None` if none was."""
    if len(node) == 3:
        return None
    if len(node) != 4 or type(node[3]) is not list or node[3][2] != STATE:
        raise CannotConvert
    return node[3][0]


def pairs_of(raw: Any, budget: Budget | None = None) -> list[Any]:
    """Return the keys and values of a dictionary in turn, still raw, if nothing else was done to it."""
    if type(raw) is not list or raw[2] != DICT or any(type(c) is not list or c[2] != PAIRS for c in raw[3:]):
        raise CannotConvert
    chunks = [raw[0] or (), *(chunk[0] for chunk in raw[3:])]
    if any(len(chunk) % 2 for chunk in chunks):
        raise CannotConvert
    if budget is not None:
        budget.touch(raw, 128 * sum(map(len, chunks)))
    return [x for chunk in chunks for x in chunk]


def mapping_of(raw: Any, budget: Budget) -> dict[str, Any]:
    """Return a dictionary with strings as keys, its values still raw."""
    flat = pairs_of(raw, budget)
    if not all(type(key) is str for key in flat[::2]):
        raise CannotConvert
    return dict(zip(flat[::2], flat[1::2], strict=True))


def list_of(raw: Any, budget: Budget) -> list[Any] | tuple[Any, ...]:
    """Return the items of a list or tuple, still raw."""
    if type(raw) is tuple:
        budget.touch(raw, 256 * len(raw))
        return raw
    if type(raw) is list and raw[2] == LIST:
        budget.touch(raw, 256 * (len(raw) + len(raw[0] or ())))
        return items_of(raw)
    raise CannotConvert


def items_of(node: Node) -> list[Any]:
    """Return the items of a list, still raw, if nothing else was done to it."""
    return [*(node[0] or ()), *appended(node)]


def appended(node: Node) -> list[Any]:
    """Return what was appended to something, still raw, if nothing else was done to it."""
    if any(type(item) is list and item[2] >= STATE for item in node[3:]):
        raise CannotConvert
    return node[3:]


def raw_bytes(raw: Any, budget: Budget) -> bytes | memoryview:
    """Return a byte string in any of the forms that pickles give it."""
    if type(raw) is bytes:
        return raw
    if type(raw) is str:  # written by Python 2
        return _latin1(raw, budget)
    if type(raw) is list and raw[2] in (BYTES, BYTEARRAY) and len(raw) == 3:
        view: memoryview = raw[0]
        return view
    name, args = call_of(raw)
    if args == () and name in ("builtins.bytes", "builtins.bytearray"):
        return b""
    if name in ("_codecs.encode", "builtins.bytearray") and args[1:] in (("latin1",), ("latin-1",)):
        return _latin1(text_of(args[0], budget), budget)
    if name != "builtins.bytearray" or len(args) != 1:
        raise CannotConvert
    if type(args[0]) is list and callee(args[0][0]) == name:
        raise CannotConvert  # nothing writes one within another
    return raw_bytes(args[0], budget)


def _latin1(text: str, budget: Budget) -> bytes:
    if len(text) > MAX_COPY:
        raise CannotConvert
    budget.touch(text, len(text))
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise CannotConvert from None


def text_of(raw: Any, budget: Budget) -> str:
    """Return a string."""
    if type(raw) is str:
        return raw
    if type(raw) is list and raw[2] == TEXT and len(raw) == 3 and len(raw[0]) <= MAX_COPY:
        budget.touch(raw, len(raw[0]))
        try:
            return str(raw[0], "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            pass
    raise CannotConvert


def take(args: tuple[Any, ...], *kinds: type | tuple[type, ...]) -> tuple[Any, ...]:
    """Return arguments of exactly these types; bool is not int."""
    if len(args) != len(kinds):
        raise CannotConvert
    for value, kind in zip(args, kinds, strict=True):
        if type(value) is not kind and not (isinstance(kind, tuple) and type(value) in kind):
            raise CannotConvert
        if type(value) is int and value.bit_length() > MAX_BITS:
            raise CannotConvert
    return args
