"""Standard types as themselves: numbers, strings, byte strings, dates, paths and the like."""

from __future__ import annotations

import os
import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final
from uuid import UUID
from zoneinfo import TZPATH, ZoneInfo

from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import (
    MAX_BITS,
    MAX_COPY,
    Build,
    Reader,
    builds,
    mapping_of,
    raw_bytes,
    state_of,
    take,
    text_of,
)
from gc3store.inspection.machine.nodes import Node
from gc3store.inspection.shape import Json, ScalarShape, shaped
from gc3store.inspection.values import Zone
from gc3store.support.text import MAX_LINE, clean

#: Characters and bytes of a value in a line; beyond, it is unfolded, or its size is told.
_LONG: Final = 60


# How they are written.


def _simple(name: str, write: Any, read: Any) -> Json:
    return Json(name, lambda value, _: write(value), lambda data, _: read(data))


class _String(ScalarShape):
    def line(self, value: str) -> str:
        if len(value) <= MAX_LINE:
            return repr(value)
        return f"{value[: MAX_LINE - 1]!r}… {len(value):,} characters"

    def cell(self, value: str) -> str:
        return clean(value, _LONG)

    def prose(self, value: str) -> str | None:
        return value if len(value) > _LONG or "\n" in value else None

    def count(self, value: str) -> int:
        return len(value) if len(value) > _LONG else 0


class _Bytes(ScalarShape):
    def line(self, value: bytes | bytearray | memoryview) -> str:
        data = bytes(value[:MAX_LINE])
        shown = repr(data) if isinstance(value, bytes) else f"{type(value).__name__}({data!r})"
        return shown if len(value) <= MAX_LINE else f"{shown}… {len(value):,} bytes"

    def count(self, value: bytes | bytearray | memoryview) -> int:
        return len(value) if len(value) > _LONG else 0


class _Nothing(ScalarShape):
    def label(self, value: None) -> tuple[str, str]:
        return "", ""


def _integer(value: int) -> str:
    # Decimal digits of a huge number take quadratic time, and Python refuses them.
    return str(int(value)) if value.bit_length() < 1000 else f"an integer of {value.bit_length():,} bits"


def _digits(value: Decimal) -> str:
    return str(value) if value.adjusted() < 10_000 or not value.is_finite() else "a huge number"


def _moment_json(value: datetime) -> str | None:
    # A zone with rules would come back as the offset that it had then.
    if value.fold or (value.tzinfo is not None and type(value.tzinfo) is not timezone):
        return None
    return value.isoformat()


def _str(value: Any) -> str:
    return clean(str(value))


def _decimal_line(value: Decimal) -> str:
    return f"Decimal({_String().line(_digits(value))})"


_BYTES_JSON: Final = _simple("bytes", lambda v: v.hex() if len(v) < 1 << 16 else None, bytes.fromhex)
_COMPLEX_JSON: Final = Json(
    "complex",
    lambda value, write: [write(value.real), write(value.imag)],
    lambda data, read: complex(*map(read, data)),
)
_SPAN_JSON: Final = _simple(
    "timedelta", lambda v: [v.days, v.seconds, v.microseconds], lambda data: timedelta(*data)
)

shaped(_Nothing(plain=repr), type(None))
shaped(_String(), str)
shaped(_Bytes(json=_BYTES_JSON), bytes)
shaped(_Bytes(), bytearray, memoryview)
shaped(ScalarShape(), bool)
shaped(ScalarShape(_integer, number=True), int)
shaped(ScalarShape(cell=lambda value: f"{value:.6g}", number=True), float)
shaped(ScalarShape(json=_COMPLEX_JSON, number=True), complex)
shaped(ScalarShape(_decimal_line, _digits, json=_simple("Decimal", str, Decimal), number=True), Decimal)
shaped(ScalarShape(plain=_str, json=_simple("datetime", _moment_json, datetime.fromisoformat)), datetime)
shaped(ScalarShape(plain=_str, json=_simple("date", date.isoformat, date.fromisoformat)), date)
shaped(ScalarShape(plain=_str, json=_SPAN_JSON), timedelta)
shaped(ScalarShape(plain=_str, json=_simple("UUID", lambda value: value.hex, UUID)), UUID)
shaped(ScalarShape(plain=_str), time, PurePath)


# How they are built.


@builds("_codecs.encode")
def _encoded(_args: tuple[Any, ...], node: Node, reader: Reader) -> bytes:
    # _codecs.encode(text, "latin1"): how bytes were written before protocol 3.
    return bytes(raw_bytes(node, reader.budget))


@builds("builtins.bytes")
def _bytes(args: tuple[Any, ...], _node: Node, _reader: Reader) -> bytes:
    take(args)
    return b""


@builds("builtins.bytearray")
def _bytearray(args: tuple[Any, ...], node: Node, reader: Reader) -> bytearray:
    data = raw_bytes(node, reader.budget)
    if len(data) > MAX_COPY:
        raise CannotConvert
    reader.budget.touch(args[0] if args else node, len(data))
    return bytearray(data)


@builds("builtins.complex")
def _complex(args: tuple[Any, ...], _node: Node, _reader: Reader) -> complex:
    return complex(*take(args, float, float))


@builds("builtins.range")
def _range(args: tuple[Any, ...], _node: Node, _reader: Reader) -> range:
    return range(*take(args, int, int, int))


@builds("builtins.slice")
def _slice(args: tuple[Any, ...], _node: Node, _reader: Reader) -> slice:
    simple = (int, type(None), float, str)
    return slice(*take(args, simple, simple, simple))


def _itself(kind: type) -> Build:
    return lambda args, _node, _reader: take(args, kind)[0]


for _kind in (float, int, str):
    builds(f"builtins.{_kind.__name__}")(_itself(_kind))


@builds("datetime.date")
def _date(args: tuple[Any, ...], _node: Node, reader: Reader) -> date:
    if len(args) == 3:
        return date(*take(args, int, int, int))
    (raw,) = args
    high, low, month, day = raw_bytes(raw, reader.budget)
    return date(high * 256 + low, month, day)


def _zone(args: tuple[Any, ...], reader: Reader) -> tzinfo | None:
    if len(args) > 2:
        raise CannotConvert
    zone = reader.value(args[1]) if len(args) == 2 else None
    if zone is not None and not isinstance(zone, tzinfo):
        raise CannotConvert
    return zone


@builds("datetime.time")
def _time(args: tuple[Any, ...], _node: Node, reader: Reader) -> time:
    hour, minute, second, a, b, c = raw_bytes(args[0], reader.budget)
    return time(hour & 0x7F, minute, second, a << 16 | b << 8 | c, _zone(args, reader), fold=hour >> 7)


@builds("datetime.datetime")
def _datetime(args: tuple[Any, ...], _node: Node, reader: Reader) -> datetime:
    high, low, month, day, hour, minute, second, a, b, c = raw_bytes(args[0], reader.budget)
    micro, zone = a << 16 | b << 8 | c, _zone(args, reader)
    return datetime(high * 256 + low, month & 0x7F, day, hour, minute, second, micro, zone, fold=month >> 7)


@builds("datetime.timedelta")
def _timedelta(args: tuple[Any, ...], _node: Node, _reader: Reader) -> timedelta:
    days, seconds, micros = take(args, int, int, int)
    if abs(days) > 999_999_999 or not 0 <= seconds < 86400 or not 0 <= micros < 10**6:
        raise CannotConvert
    return timedelta(days, seconds, micros)


@builds("datetime.timezone")
def _timezone(args: tuple[Any, ...], _node: Node, reader: Reader) -> timezone:
    offset = reader.value(args[0])
    if type(offset) is not timedelta or len(args) > 2:
        raise CannotConvert
    return timezone(offset, *(text_of(name, reader.budget) for name in args[1:]))


@builds("pytz._p")
def _named_zone(args: tuple[Any, ...], _node: Node, _reader: Reader) -> Zone:
    return Zone(take(args[:1], str)[0])


@builds("zoneinfo.ZoneInfo._unpickle")
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


@builds("pytz._UTC")
def _utc(_args: tuple[Any, ...], _node: Node, _reader: Reader) -> timezone:
    return timezone.utc  # noqa: UP017 - what is shown, not an alias of it


_DECIMAL: Final = re.compile(
    r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,18})?|-?Infinity|-?s?NaN\d*", re.ASCII
)


@builds("decimal.Decimal")
def _decimal(args: tuple[Any, ...], _node: Node, reader: Reader) -> Decimal:
    (text,) = take(args, str)
    reader.budget.touch(args[0], 16 * len(text))
    if len(text) > 10_000 or not _DECIMAL.fullmatch(text):
        raise CannotConvert
    return Decimal(text)


@builds("fractions.Fraction")
def _fraction(args: tuple[Any, ...], _node: Node, reader: Reader) -> Fraction:
    if len(args) == 1:
        (text,) = take(args, str)
        reader.budget.touch(text, len(text) ** 2)  # decimal digits, and the greatest common divisor
        match = re.fullmatch(r"(-?\d{1,4300})(?:/(\d{1,4300}))?", text, re.ASCII)
        if not match:
            raise CannotConvert
        top, bottom = int(match[1]), int(match[2] or 1)
    else:
        top, bottom = take(args, int, int)
    bits = max(top.bit_length(), bottom.bit_length())
    if bits > MAX_BITS:
        raise CannotConvert
    for arg in args:
        reader.budget.touch(arg, bits * bits >> 6)
    return Fraction(top, bottom)


@builds("uuid.UUID", changes=True)
def _uuid(args: tuple[Any, ...], node: Node, reader: Reader) -> UUID:
    value = mapping_of(state_of(node), reader.budget).get("int")
    if args or type(value) is not int:
        raise CannotConvert
    return UUID(int=value)


def _path(kind: type[PurePath]) -> Build:
    def build(args: tuple[Any, ...], _node: Node, reader: Reader) -> PurePath:
        reader.budget.touch(args, 512 * len(args))
        if len(args) > 1000 or not all(type(part) is str for part in args) or sum(map(len, args)) > 10_000:
            raise CannotConvert
        for part in args:
            reader.budget.touch(part, 8 * len(part))
        return kind(*args)

    return build


_PATHS: Final[dict[str, type[PurePath]]] = {
    "PosixPath": PosixPath if os.name == "posix" else PurePosixPath,
    "WindowsPath": WindowsPath if os.name == "nt" else PureWindowsPath,
    "PurePosixPath": PurePosixPath,
    "PureWindowsPath": PureWindowsPath,
}
for _name, _class in _PATHS.items():
    builds(f"pathlib.{_name}", f"pathlib._local.{_name}")(_path(_class))
