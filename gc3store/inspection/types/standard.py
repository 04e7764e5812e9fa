"""Standard types as themselves, built here from exact names and checked arguments.

A pickle writes a date as "call ``datetime.date`` with these four bytes". Nothing here
calls what a pickle names: `VALUES` maps exact names to functions of this module, each
of which takes arguments that it expects, in the types and ranges that it expects, and
makes the value with a constructor that is harmless for them. (``Fraction("1e999999999")``
is not, nor is ``bytes(10**10)``.) Anything else raises `NotPlainError`, and is shown as the
call that it is.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import TZPATH, ZoneInfo

from gc3store.inspection.budget import Budget, NotPlainError
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import (
    BYTEARRAY,
    BYTES,
    CALL,
    DICT,
    LIST,
    PAIRS,
    STATE,
    TEXT,
    Node,
)
from gc3store.inspection.values import Zone

if TYPE_CHECKING:
    from gc3store.inspection.building import Reader

__all__ = ["VALUES", "NotPlainError", "raw_bytes", "state_of"]

Builder = Callable[[tuple[Any, ...], Node, "Reader"], Any]

#: The longest byte string or text that is copied in order to show it as itself.
MAX_COPY: Final = 1 << 24
#: The largest number in a plain value: its arithmetic, hash and digits cost more than its bytes.
MAX_BITS: Final = 1 << 14


def state_of(node: Node) -> Any:
    """Return the one state that was set on a node; `None` if none was."""
    if len(node) == 3:
        return None
    if len(node) != 4 or type(node[3]) is not list or node[3][2] != STATE:
        raise NotPlainError
    return node[3][0]


def mapping_of(raw: Any, budget: Budget) -> dict[str, Any]:
    """Return a dictionary with text keys, its values still raw."""
    if type(raw) is not list or raw[2] != DICT:
        raise NotPlainError
    budget.touch(
        raw, 128 * (len(raw[0] or ()) + sum(len(c[0]) for c in raw[3:] if type(c) is list and c[2] == PAIRS))
    )
    found: dict[str, Any] = {}
    chunks = [raw[0]] if raw[0] is not None else []
    for chunk in raw[3:]:
        if type(chunk) is not list or chunk[2] != PAIRS:
            raise NotPlainError
        chunks.append(chunk[0])
    for flat in chunks:
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            if type(key) is not str:
                raise NotPlainError
            found[key] = value
    return found


def list_of(raw: Any, budget: Budget) -> list[Any] | tuple[Any, ...]:
    """Return the items of a list or tuple, still raw."""
    if type(raw) is tuple:
        budget.touch(raw, 256 * len(raw))
        return raw
    if type(raw) is list and raw[2] == LIST:
        budget.touch(raw, 256 * (len(raw) + len(raw[0] or ())))
        return items_of(raw)
    raise NotPlainError


def items_of(node: Node) -> list[Any]:
    """Return the items of a list, still raw, if nothing else was done to it."""
    items = [*(node[0] or ()), *node[3:]]
    if any(type(item) is list and item[2] >= STATE for item in items):
        raise NotPlainError
    return items


def raw_bytes(raw: Any, budget: Budget) -> bytes | memoryview:
    """Return a byte string in any of the forms that pickles give it."""
    if type(raw) is bytes:
        return raw
    if type(raw) is str:  # written by Python 2
        return _latin1(raw, budget)
    if type(raw) is list:
        if raw[2] in (BYTES, BYTEARRAY) and len(raw) == 3:
            view: memoryview = raw[0]
            return view
        if raw[2] == CALL and len(raw) == 3:
            name, args = callee(raw[0]), raw[1]
            if name == "_codecs.encode" and type(args) is tuple and len(args) == 2 and args[1] == "latin1":
                return _latin1(text_of(args[0], budget), budget)
            if name in ("builtins.bytes", "builtins.bytearray") and args == ():
                return b""
            if name == "builtins.bytearray" and type(args) is tuple and len(args) == 1:
                if type(args[0]) is list and callee(args[0][0]) == name:
                    raise NotPlainError  # nobody writes one within another
                return raw_bytes(args[0], budget)
            if (
                name == "builtins.bytearray"
                and type(args) is tuple
                and len(args) == 2
                and args[1] == "latin-1"
            ):
                return _latin1(text_of(args[0], budget), budget)
    raise NotPlainError


def _latin1(text: str, budget: Budget) -> bytes:
    if len(text) > MAX_COPY:
        raise NotPlainError
    budget.touch(text, len(text))
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise NotPlainError from None


def text_of(raw: Any, budget: Budget) -> str:
    """Return a text."""
    if type(raw) is str:
        return raw
    if type(raw) is list and raw[2] == TEXT and len(raw) == 3 and len(raw[0]) <= MAX_COPY:
        budget.touch(raw, len(raw[0]))
        try:
            return str(raw[0], "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            pass
    raise NotPlainError


def _take(
    args: tuple[Any, ...], *kinds: type | tuple[type, ...], least: int | None = None
) -> tuple[Any, ...]:
    # Arguments of exactly these types; bool is not int.
    if not (len(kinds) if least is None else least) <= len(args) <= len(kinds):
        raise NotPlainError
    for value, kind in zip(args, kinds, strict=False):
        if type(value) is not kind and not (isinstance(kind, tuple) and type(value) in kind):
            raise NotPlainError
        if type(value) is int and value.bit_length() > MAX_BITS:
            raise NotPlainError
    return args


def _no_state(node: Node) -> None:
    if len(node) != 3:
        raise NotPlainError


def _encoded(_args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    # _codecs.encode(text, "latin1"): how bytes were written before protocol 3.
    _no_state(node)
    return bytes(raw_bytes(node, reader.budget))


def _bytes(args: tuple[Any, ...], node: Node, _reader: Reader) -> bytes:
    _no_state(node)
    if args:
        raise NotPlainError
    return b""


def _bytearray(args: tuple[Any, ...], node: Node, reader: Reader) -> bytearray:
    _no_state(node)
    if not args:
        return bytearray()
    if len(args) == 2 and args[1] in ("latin-1", "latin1"):
        return bytearray(_latin1(text_of(args[0], reader.budget), reader.budget))
    if len(args) != 1 or type(args[0]) is str:
        raise NotPlainError
    data = raw_bytes(args[0], reader.budget)
    if len(data) > MAX_COPY:
        raise NotPlainError
    reader.budget.touch(args[0], len(data))
    return bytearray(data)


def _complex(args: tuple[Any, ...], node: Node, _reader: Reader) -> complex:
    _no_state(node)
    return complex(*_take(args, float, float))


def _range(args: tuple[Any, ...], node: Node, _reader: Reader) -> range:
    _no_state(node)
    start, stop, step = _take(args, int, int, int)
    if step == 0:
        raise NotPlainError
    return range(start, stop, step)


def _slice(args: tuple[Any, ...], node: Node, _reader: Reader) -> slice:
    _no_state(node)
    simple = (int, type(None), float, str)
    return slice(*_take(args, simple, simple, simple))


def _number(kind: type) -> Builder:
    def build(args: tuple[Any, ...], node: Node, _reader: Reader) -> Any:
        _no_state(node)
        (value,) = _take(args, kind)
        return value

    return build


def _date(args: tuple[Any, ...], node: Node, reader: Reader) -> date:
    _no_state(node)
    if len(args) == 3:
        return date(*_take(args, int, int, int))
    if len(args) != 1:
        raise NotPlainError
    data = raw_bytes(args[0], reader.budget)
    if len(data) != 4:
        raise NotPlainError
    return date(data[0] * 256 + data[1], data[2], data[3])


def _zone(raw: Any, reader: Reader) -> tzinfo | None:
    if raw is None:
        return None
    zone = reader.value(raw)
    if not isinstance(zone, tzinfo):
        raise NotPlainError
    return zone


def _time(args: tuple[Any, ...], node: Node, reader: Reader) -> time:
    _no_state(node)
    if not 1 <= len(args) <= 2:
        raise NotPlainError
    data = raw_bytes(args[0], reader.budget)
    if len(data) != 6:
        raise NotPlainError
    hour, minute, second, a, b, c = data
    zone = _zone(args[1] if len(args) == 2 else None, reader)
    return time(hour & 0x7F, minute, second, a << 16 | b << 8 | c, zone, fold=hour >> 7)


def _datetime(args: tuple[Any, ...], node: Node, reader: Reader) -> datetime:
    _no_state(node)
    if not 1 <= len(args) <= 2:
        raise NotPlainError
    data = raw_bytes(args[0], reader.budget)
    if len(data) != 10:
        raise NotPlainError
    high, low, month, day, hour, minute, second, a, b, c = data
    zone = _zone(args[1] if len(args) == 2 else None, reader)
    micro = a << 16 | b << 8 | c
    return datetime(high * 256 + low, month & 0x7F, day, hour, minute, second, micro, zone, fold=month >> 7)


def _timedelta(args: tuple[Any, ...], node: Node, _reader: Reader) -> timedelta:
    _no_state(node)
    days, seconds, micros = _take(args, int, int, int)
    if abs(days) > 999_999_999 or not 0 <= seconds < 86400 or not 0 <= micros < 10**6:
        raise NotPlainError
    return timedelta(days, seconds, micros)


def _timezone(args: tuple[Any, ...], node: Node, reader: Reader) -> timezone:
    _no_state(node)
    if not 1 <= len(args) <= 2:
        raise NotPlainError
    offset = reader.value(args[0])
    if type(offset) is not timedelta:
        raise NotPlainError
    return timezone(offset) if len(args) == 1 else timezone(offset, text_of(args[1], reader.budget))


def _zoneinfo(args: tuple[Any, ...], node: Node, reader: Reader) -> tzinfo:
    # zoneinfo.ZoneInfo._unpickle(key, from the cache)
    key = _named_zone(args, node, reader).key
    # Only from the system's files, never from the package tzdata, which would be imported by that name.
    if len(key) < 100 and re.fullmatch(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}", key, re.ASCII):
        reader.budget.touch(key, 1000)
        if any(os.path.isfile(os.path.join(place, key)) for place in TZPATH):
            try:
                return ZoneInfo(key)
            except (OSError, LookupError):
                pass  # a file that holds something else
    return Zone(key)


def _named_zone(args: tuple[Any, ...], node: Node, _reader: Reader) -> Zone:
    _no_state(node)
    return Zone(_take(args[:1], str)[0])


def _utc(_args: tuple[Any, ...], node: Node, _reader: Reader) -> timezone:
    _no_state(node)
    return timezone.utc  # noqa: UP017 - what is shown, not an alias of it


def _decimal(args: tuple[Any, ...], node: Node, reader: Reader) -> Decimal:
    _no_state(node)
    (text,) = _take(args, str)
    reader.budget.touch(args[0], 16 * len(text))
    if len(text) > 10_000 or not re.fullmatch(
        r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,18})?|-?Infinity|-?s?NaN\d*", text, re.ASCII
    ):
        raise NotPlainError
    return Decimal(text)


def _fraction(args: tuple[Any, ...], node: Node, reader: Reader) -> Fraction:
    _no_state(node)
    if len(args) == 1:
        (text,) = _take(args, str)
        reader.budget.touch(text, len(text) ** 2)  # decimal digits, and the greatest common divisor
        match = re.fullmatch(r"(-?\d{1,4300})(?:/(\d{1,4300}))?", text, re.ASCII)
        if not match:
            raise NotPlainError
        top, bottom = int(match[1]), int(match[2] or 1)
    else:
        top, bottom = _take(args, int, int)
    bits = max(top.bit_length(), bottom.bit_length())
    if bottom == 0 or bits > MAX_BITS:
        raise NotPlainError
    for arg in args:
        reader.budget.touch(arg, bits * bits >> 6)
    return Fraction(top, bottom)


def _uuid(args: tuple[Any, ...], node: Node, reader: Reader) -> UUID:
    fields = mapping_of(state_of(node), reader.budget)
    value = fields.get("int")
    if args or type(value) is not int or not 0 <= value < 1 << 128:
        raise NotPlainError
    return UUID(int=value)


def _path(here: type[PurePath], elsewhere: type[PurePath], system: str) -> Builder:
    def build(args: tuple[Any, ...], node: Node, reader: Reader) -> PurePath:
        _no_state(node)
        reader.budget.touch(args, 512 * len(args))
        if len(args) > 1000 or not all(type(part) is str for part in args) or sum(map(len, args)) > 10_000:
            raise NotPlainError
        for part in args:
            reader.budget.touch(part, 8 * len(part))
        return (here if os.name == system else elsewhere)(*args)

    return build


_posix = _path(PosixPath, PurePosixPath, "posix")
_windows = _path(WindowsPath, PureWindowsPath, "nt")
_pure_posix = _path(PurePosixPath, PurePosixPath, "posix")
_pure_windows = _path(PureWindowsPath, PureWindowsPath, "nt")


def _reconstructed(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    # copyreg._reconstructor(class, base, value): protocols 0 and 1.
    if len(args) == 3 and callee(args[0]) == "uuid.UUID" and callee(args[1]) == "builtins.object":
        return _uuid((), node, reader)
    raise NotPlainError


#: What makes a plain value, by exact dotted name.
VALUES: Final[dict[str, Builder]] = {
    "_codecs.encode": _encoded,
    "builtins.bytearray": _bytearray,
    "builtins.bytes": _bytes,
    "builtins.complex": _complex,
    "builtins.float": _number(float),
    "builtins.int": _number(int),
    "builtins.range": _range,
    "builtins.slice": _slice,
    "builtins.str": _number(str),
    "copyreg._reconstructor": _reconstructed,
    "datetime.date": _date,
    "datetime.datetime": _datetime,
    "datetime.time": _time,
    "datetime.timedelta": _timedelta,
    "datetime.timezone": _timezone,
    "decimal.Decimal": _decimal,
    "fractions.Fraction": _fraction,
    "pathlib.PosixPath": _posix,
    "pathlib.PurePosixPath": _pure_posix,
    "pathlib.PureWindowsPath": _pure_windows,
    "pathlib.WindowsPath": _windows,
    "pathlib._local.PosixPath": _posix,
    "pathlib._local.PurePosixPath": _pure_posix,
    "pathlib._local.PureWindowsPath": _pure_windows,
    "pathlib._local.WindowsPath": _windows,
    "pytz._UTC": _utc,
    "pytz._p": _named_zone,
    "uuid.UUID": _uuid,
    "zoneinfo.ZoneInfo._unpickle": _zoneinfo,
}

#: What building a value from checked arguments may still raise.
REFUSALS: Final = (
    NotPlainError,
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
