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
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final
from uuid import UUID

from gc3store.inspection.nodes import (
    BYTEARRAY,
    BYTES,
    CALL,
    DICT,
    LIST,
    NAME,
    NAME2,
    NEW,
    PAIRS,
    STATE,
    TEXT,
    Node,
    modern_name,
)
from gc3store.inspection.values import Zone

__all__ = ["VALUES", "NotPlainError", "callee", "plain", "raw_bytes", "state_of"]


class NotPlainError(Exception):
    """The arguments are not those of a plain value."""


Builder = Callable[[tuple[Any, ...], Node], Any]

#: The longest byte string or text that is copied in order to show it as itself.
MAX_COPY: Final = 1 << 24


def name_of(raw: Any) -> tuple[str, str] | None:
    """Return module and name, where `raw` is a global and nothing was done to it."""
    if type(raw) is list and len(raw) == 3 and type(raw[0]) is str and type(raw[1]) is str:
        if raw[2] == NAME:
            return raw[0], raw[1]
        if raw[2] == NAME2:
            return modern_name(raw[0], raw[1])
    return None


def callee(raw: Any) -> str:
    """Return the dotted name of a callable, also of one that ``getattr`` was to find; else ''."""
    found = name_of(raw)
    if found is not None:
        return f"{found[0]}.{found[1]}"
    if type(raw) is list and len(raw) == 3 and raw[2] == CALL and name_of(raw[0]) == ("builtins", "getattr"):
        args = raw[1]
        if type(args) is tuple and len(args) == 2 and type(args[1]) is str:
            owner = name_of(args[0])
            if owner is not None:
                return f"{owner[0]}.{owner[1]}.{args[1]}"
    return ""


def state_of(node: Node) -> Any:
    """Return the one state that was set on a node; `None` if none was."""
    states = [c[0] for c in node[3:] if type(c) is list and c[2] == STATE]
    if len(states) > 1 or len(states) != len(node) - 3:
        raise NotPlainError
    return states[0] if states else None


def mapping_of(raw: Any) -> dict[str, Any]:
    """Return a dictionary with text keys, its values still raw."""
    if type(raw) is not list or raw[2] != DICT:
        raise NotPlainError
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


def list_of(raw: Any) -> list[Any]:
    """Return the items of a list or tuple, still raw."""
    if type(raw) is tuple:
        return list(raw)
    if type(raw) is list and raw[2] == LIST:
        items = [*(raw[0] or ()), *raw[3:]]
        if not any(type(item) is list and item[2] >= STATE for item in items):
            return items
    raise NotPlainError


def raw_bytes(raw: Any) -> bytes | memoryview:
    """Return a byte string in any of the forms that pickles give it."""
    if type(raw) is bytes:
        return raw
    if type(raw) is str:  # written by Python 2
        return _latin1(raw)
    if type(raw) is list:
        if raw[2] in (BYTES, BYTEARRAY) and len(raw) == 3:
            view: memoryview = raw[0]
            return view
        if raw[2] == CALL and len(raw) == 3:
            name, args = callee(raw[0]), raw[1]
            if name == "_codecs.encode" and type(args) is tuple and len(args) == 2 and args[1] == "latin1":
                return _latin1(text_of(args[0]))
            if name in ("builtins.bytes", "builtins.bytearray") and args == ():
                return b""
    raise NotPlainError


def _latin1(text: str) -> bytes:
    if len(text) > MAX_COPY:
        raise NotPlainError
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise NotPlainError from None


def text_of(raw: Any) -> str:
    """Return a text."""
    if type(raw) is str:
        return raw
    if type(raw) is list and raw[2] == TEXT and len(raw) == 3 and len(raw[0]) <= MAX_COPY:
        try:
            return str(raw[0], "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            pass
    raise NotPlainError


def plain(raw: Any) -> Any:
    """Return a constant or a plain value; containers are not plain."""
    kind = type(raw)
    if kind is tuple:
        raise NotPlainError
    if kind is not list:
        return raw
    if raw[2] in (CALL, NEW) and type(raw[1]) is tuple:
        build = VALUES.get(callee(raw[0]))
        if build is not None:
            return build(raw[1], raw)
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
    return args


def _no_state(node: Node) -> None:
    if len(node) != 3:
        raise NotPlainError


def _encoded(_args: tuple[Any, ...], node: Node) -> Any:
    # _codecs.encode(text, "latin1"): how bytes were written before protocol 3.
    _no_state(node)
    return bytes(raw_bytes(node))


def _bytes(args: tuple[Any, ...], node: Node) -> bytes:
    _no_state(node)
    if args:
        raise NotPlainError
    return b""


def _bytearray(args: tuple[Any, ...], node: Node) -> bytearray:
    _no_state(node)
    if not args:
        return bytearray()
    if len(args) == 2 and args[1] in ("latin-1", "latin1"):
        return bytearray(_latin1(text_of(args[0])))
    if len(args) != 1 or type(args[0]) is str:
        raise NotPlainError
    data = raw_bytes(args[0])
    if len(data) > MAX_COPY:
        raise NotPlainError
    return bytearray(data)


def _complex(args: tuple[Any, ...], node: Node) -> complex:
    _no_state(node)
    return complex(*_take(args, float, float))


def _range(args: tuple[Any, ...], node: Node) -> range:
    _no_state(node)
    start, stop, step = _take(args, int, int, int)
    if step == 0:
        raise NotPlainError
    return range(start, stop, step)


def _slice(args: tuple[Any, ...], node: Node) -> slice:
    _no_state(node)
    simple = (int, type(None), float, str)
    return slice(*_take(args, simple, simple, simple))


def _number(kind: type) -> Builder:
    def build(args: tuple[Any, ...], node: Node) -> Any:
        _no_state(node)
        (value,) = _take(args, kind)
        return value

    return build


def _date(args: tuple[Any, ...], node: Node) -> date:
    _no_state(node)
    if len(args) == 3:
        return date(*_take(args, int, int, int))
    if len(args) != 1:
        raise NotPlainError
    data = raw_bytes(args[0])
    if len(data) != 4:
        raise NotPlainError
    return date(data[0] * 256 + data[1], data[2], data[3])


def _zone(raw: Any) -> tzinfo | None:
    if raw is None:
        return None
    zone = plain(raw)
    if not isinstance(zone, tzinfo):
        raise NotPlainError
    return zone


def _time(args: tuple[Any, ...], node: Node) -> time:
    _no_state(node)
    if not 1 <= len(args) <= 2:
        raise NotPlainError
    data = raw_bytes(args[0])
    if len(data) != 6:
        raise NotPlainError
    hour, minute, second, a, b, c = data
    zone = _zone(args[1] if len(args) == 2 else None)
    return time(hour & 0x7F, minute, second, a << 16 | b << 8 | c, zone, fold=hour >> 7)


def _datetime(args: tuple[Any, ...], node: Node) -> datetime:
    _no_state(node)
    if not 1 <= len(args) <= 2:
        raise NotPlainError
    data = raw_bytes(args[0])
    if len(data) != 10:
        raise NotPlainError
    high, low, month, day, hour, minute, second, a, b, c = data
    zone = _zone(args[1] if len(args) == 2 else None)
    micro = a << 16 | b << 8 | c
    return datetime(high * 256 + low, month & 0x7F, day, hour, minute, second, micro, zone, fold=month >> 7)


def _timedelta(args: tuple[Any, ...], node: Node) -> timedelta:
    _no_state(node)
    days, seconds, micros = _take(args, int, int, int)
    if abs(days) > 999_999_999 or not 0 <= seconds < 86400 or not 0 <= micros < 10**6:
        raise NotPlainError
    return timedelta(days, seconds, micros)


def _timezone(args: tuple[Any, ...], node: Node) -> timezone:
    _no_state(node)
    if not 1 <= len(args) <= 2:
        raise NotPlainError
    offset = plain(args[0])
    if type(offset) is not timedelta:
        raise NotPlainError
    return timezone(offset) if len(args) == 1 else timezone(offset, text_of(args[1]))


def _zoneinfo(args: tuple[Any, ...], node: Node) -> Zone:
    _no_state(node)
    return Zone(_take(args[:1], str)[0])


def _utc(_args: tuple[Any, ...], node: Node) -> timezone:
    _no_state(node)
    return timezone.utc  # noqa: UP017 - what is shown, not an alias of it


def _decimal(args: tuple[Any, ...], node: Node) -> Decimal:
    _no_state(node)
    (text,) = _take(args, str)
    if len(text) > 100_000 or not re.fullmatch(
        r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,18})?|-?Infinity|-?s?NaN\d*", text, re.ASCII
    ):
        raise NotPlainError
    return Decimal(text)


def _fraction(args: tuple[Any, ...], node: Node) -> Fraction:
    _no_state(node)
    if len(args) == 1:
        (text,) = _take(args, str)
        match = re.fullmatch(r"(-?\d{1,4300})(?:/(\d{1,4300}))?", text, re.ASCII)
        if not match:
            raise NotPlainError
        top, bottom = int(match[1]), int(match[2] or 1)
    else:
        top, bottom = _take(args, int, int)
    if bottom == 0 or max(top.bit_length(), bottom.bit_length()) > 15_000:
        raise NotPlainError
    return Fraction(top, bottom)


def _uuid(args: tuple[Any, ...], node: Node) -> UUID:
    fields = mapping_of(state_of(node))
    value = fields.get("int")
    if args or type(value) is not int or not 0 <= value < 1 << 128:
        raise NotPlainError
    return UUID(int=value)


def _path(here: type[PurePath], elsewhere: type[PurePath], system: str) -> Builder:
    def build(args: tuple[Any, ...], node: Node) -> PurePath:
        _no_state(node)
        if len(args) > 1000 or not all(type(part) is str and len(part) < 10_000 for part in args):
            raise NotPlainError
        return (here if os.name == system else elsewhere)(*args)

    return build


_posix = _path(PosixPath, PurePosixPath, "posix")
_windows = _path(WindowsPath, PureWindowsPath, "nt")
_pure_posix = _path(PurePosixPath, PurePosixPath, "posix")
_pure_windows = _path(PureWindowsPath, PureWindowsPath, "nt")


def _reconstructed(args: tuple[Any, ...], node: Node) -> Any:
    # copyreg._reconstructor(class, base, value): protocols 0 and 1.
    if len(args) == 3 and callee(args[0]) == "uuid.UUID" and callee(args[1]) == "builtins.object":
        return _uuid((), node)
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
    "pytz._p": _zoneinfo,
    "uuid.UUID": _uuid,
    "zoneinfo.ZoneInfo._unpickle": _zoneinfo,
}

#: What building a value from checked arguments may still raise.
REFUSALS: Final = (NotPlainError, ValueError, OverflowError, InvalidOperation, TypeError)
