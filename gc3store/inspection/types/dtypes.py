"""The types of array elements: what a pickled ``numpy.dtype`` means, and decoding by it."""

from __future__ import annotations

import codecs
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import prod
from typing import TYPE_CHECKING, Any, Final

from gc3store.inspection.machine.nodes import Node
from gc3store.inspection.types.standard import NotPlainError, mapping_of, raw_bytes, state_of

if TYPE_CHECKING:
    from gc3store.inspection.building import Reader

__all__ = ["VALUES", "DType", "aware", "dtype_of", "shape_of"]

_UNITS: Final = {  # the length of a unit in microseconds, numerator and denominator
    "W": (604_800_000_000, 1), "D": (86_400_000_000, 1), "h": (3_600_000_000, 1), "m": (60_000_000, 1),
    "s": (1_000_000, 1),
    "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000), "ps": (1, 10**6), "fs": (1, 10**9), "as": (1, 10**12),
}  # fmt: skip
#: Types are so deep within types at most.
_DEPTH: Final = 16
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - datetime64 has no time zone
_NAT: Final = -(1 << 63)
_NUMBERS: Final = {
    "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip
_NAMES: Final = {
    "b": "bool",
    "i": "int",
    "u": "uint",
    "f": "float",
    "c": "complex",
    "M": "datetime64",
    "m": "timedelta64",
}


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """The type of an array's elements.

    Attributes
    ----------
    kind : str
        NumPy's letter: ``b i u f c M m S U V O``, or ``T`` for texts of any length.
    size : int
        Bytes of one element.
    order : {"<", ">", "|"}
        Byte order.
    unit : str
        Of times: ``ns``, ``25s``.
    fields : tuple of (str, DType, int)
        Of records: names, types and offsets.
    base : DType or None, shape : tuple of int
        Of elements that are themselves arrays.
    """

    kind: str
    size: int
    order: str = "|"
    unit: str = ""
    fields: tuple[tuple[str, DType, int], ...] = ()
    base: DType | None = None
    shape: tuple[int, ...] = ()
    #: How many plain values an element is decoded to.
    weight: int = field(default=1, init=False, repr=False)
    #: Whether elements are, or contain, Python objects.
    objects: bool = field(default=False, init=False, repr=False)
    #: How deep types are within types.
    depth: int = field(default=1, init=False, repr=False)
    #: What is the same for types whose elements mean the same, and for those that are stored the same.
    _meaning: bytes = field(default=b"", init=False, repr=False)
    _layout: bytes = field(default=b"", init=False, repr=False)

    def __post_init__(self) -> None:
        # Worked out once: types within types may share their parts, so that following them takes for ever.
        inner = [type_ for _, type_, _ in self.fields] + ([self.base] if self.base is not None else [])
        weight = (
            sum(type_.weight for type_ in inner) * prod(self.shape)
            if self.base
            else 1 + sum(type_.weight for type_ in inner)
        )
        names, offsets = [name for name, _, _ in self.fields], [offset for _, _, offset in self.fields]
        meaning = _digest(
            self.kind, self.size, self.unit, self.shape, names, [type_._meaning for type_ in inner]
        )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "objects", self.kind in "OT" or any(type_.objects for type_ in inner))
        object.__setattr__(self, "depth", 1 + max((type_.depth for type_ in inner), default=0))
        object.__setattr__(self, "_meaning", meaning)
        layout = _digest(meaning, self.order, offsets, [type_._layout for type_ in inner])
        object.__setattr__(self, "_layout", layout)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DType) and self._layout == other._layout

    def __hash__(self) -> int:
        return hash(self._layout)

    def means(self, other: DType) -> bool:
        """Whether elements mean the same, byte orders and offsets aside."""
        return self._meaning == other._meaning

    def __str__(self) -> str:
        return self._text(3)

    def _text(self, levels: int) -> str:
        if self.base is not None:
            return f"({self.base._text(levels)}, {self.shape})"
        if self.fields:
            if not levels or (levels < 3 and len(self.fields) > 5):
                return f"{{{len(self.fields)} fields}}"
            shown = [f"{name[:100]}: {type_._text(levels - 1)}" for name, type_, _ in self.fields[:50]]
            return "{" + ", ".join(shown) + "}"
        if self.kind in "OT":
            return "object" if self.kind == "O" else "StringDType"
        if self.kind in "SUV":
            return f"<U{self.size // 4}" if self.kind == "U" else f"|{self.kind}{self.size}"
        if self.kind == "b":
            return "bool"
        text = f"{_NAMES[self.kind]}" + ("" if self.kind in "Mm" else f"{self.size * 8}")
        return text + (f"[{self.unit}]" if self.unit else "")

    @property
    def code(self) -> str:
        """NumPy's type string, such as ``<f8``."""
        size = self.size // 4 if self.kind == "U" else self.size
        return f"{self.order}{self.kind}{size}" + (f"[{self.unit}]" if self.unit else "")

    def decode(self, data: memoryview, at: int) -> Any:
        """Return the element at byte `at` of `data`."""
        kind, size = self.kind, self.size
        if self.fields:
            return tuple(type_.decode(data, at + offset) for _, type_, offset in self.fields)
        if self.base is not None:
            return _nested(self.base, data, at, self.shape)
        if kind == "f":
            return self._float(data, at, size)
        if kind in "biu":
            return struct.unpack_from(self._order + _NUMBERS[f"{kind}{size}"], data, at)[0]
        if kind == "c":
            half = size // 2
            parts = self._float(data, at, half), self._float(data, at + half, half)
            return None if None in parts else complex(*parts)
        raw = bytes(data[at : at + size])
        if kind == "S":
            return raw.rstrip(b"\0")
        if kind == "U":
            # Not by name: that imports the codec's module, the first time.
            decode = codecs.utf_32_be_decode if self.order == ">" else codecs.utf_32_le_decode
            return decode(raw, "replace", True)[0].rstrip("\0")
        if kind in "Mm":
            return _moment(kind, self.unit, struct.unpack(self._order + "q", raw)[0])
        return raw

    def _float(self, data: memoryview, at: int, size: int) -> Any:
        letter = _NUMBERS.get(f"f{size}")
        if letter:
            return struct.unpack_from(self._order + letter, data, at)[0]
        return _extended(bytes(data[at : at + size]), self._order)

    @property
    def _order(self) -> str:
        return ">" if self.order == ">" else "<"


def _digest(*parts: Any) -> bytes:
    return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _nested(dtype: DType, data: memoryview, at: int, shape: tuple[int, ...]) -> list[Any]:
    if len(shape) == 1:
        return [dtype.decode(data, at + i * dtype.size) for i in range(shape[0])]
    step = prod(shape[1:]) * dtype.size
    return [_nested(dtype, data, at + i * step, shape[1:]) for i in range(shape[0])]


def _extended(raw: bytes, order: str) -> float | None:
    # The 80-bit format of x87, padded; other long doubles are not read.
    if len(raw) not in (12, 16) or order != "<":
        return None
    fraction, exponent = struct.unpack_from("<QH", raw)
    sign = -1.0 if exponent & 0x8000 else 1.0
    exponent &= 0x7FFF
    if exponent == 0x7FFF:
        return float("nan") if fraction << 1 & (1 << 64) - 1 else sign * math.inf
    try:
        return math.ldexp(sign * fraction, exponent - 16383 - 63)
    except OverflowError:
        return sign * math.inf


def _moment(kind: str, unit: str, count: int) -> Any:
    """Return a moment or a duration: a `datetime` or `timedelta` where that is exact, else a text."""
    if count == _NAT:
        return None
    digits = unit.rstrip("YMWDhmsunpfa")
    name, count = unit[len(digits) :], count * int(digits or 1)
    try:
        if name in ("Y", "M"):
            months = count * (12 if name == "Y" else 1)
            if kind == "m":
                return f"{count} {'years' if name == 'Y' else 'months'}"
            return _EPOCH.replace(year=1970 + months // 12, month=months % 12 + 1)
        if name not in _UNITS:
            return count
        top, bottom = _UNITS[name]
        micros, rest = divmod(count * top, bottom)
        span = timedelta(microseconds=micros)
        if kind == "m":
            return span if not rest else f"{count} {name}"
        moment = _EPOCH + span
        if not rest:
            return moment
        fraction = micros % 10**6 * bottom + rest
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + str(fraction).zfill(len(str(bottom)) + 5)
    except (OverflowError, ValueError):
        return f"{count} {name} after 1970" if kind == "M" else f"{count} {name}"


def aware(moment: Any) -> Any:
    """Return a moment that was stored in UTC, whatever zone it is shown in, as such."""
    return moment.replace(tzinfo=UTC) if isinstance(moment, datetime) else moment


def dtype_of(raw: Any, reader: Reader) -> DType:
    """Return the type that a node means."""
    value = reader.value(raw)
    if not isinstance(value, DType):
        raise NotPlainError
    return value


def _texts(_args: tuple[Any, ...], _node: Node, _reader: Reader) -> DType:
    # numpy._core._internal._convert_to_stringdtype_kwargs(coerce[, missing value])
    return DType("T", 8)


def _dtype(args: tuple[Any, ...], node: Node, reader: Reader) -> DType:
    # numpy.dtype(code, False, True), then the state
    if not args or type(args[0]) is not str:
        raise NotPlainError
    code = args[0]
    kind, digits = code[:1], code[1:]
    if (
        kind not in "biufcMmSUVO"
        or not kind
        or len(digits) > 10
        or (digits and not (digits.isascii() and digits.isdigit()))
    ):
        raise NotPlainError
    size = int(digits or 0) * (4 if kind == "U" else 1)
    order, unit = "|", ""
    fields: tuple[tuple[str, DType, int], ...] = ()
    state = state_of(node)
    if state is not None:
        if type(state) is not tuple or len(state) < 5:
            raise NotPlainError
        order = state[1] if state[1] in ("<", ">", "|") else "<" if state[1] == "=" else _refuse()
        if type(state[2]) is tuple and len(state[2]) == 2:
            base, shape = dtype_of(state[2][0], reader), shape_of(state[2][1])
            if (
                not 1 <= len(shape) <= 32
                or prod(shape) * base.size != size
                or not size
                or base.depth >= _DEPTH
            ):
                raise NotPlainError
            return DType(kind, size, order, base=base, shape=shape)
        if type(state[3]) is tuple:
            table = mapping_of(state[4], reader.budget)
            reader.budget.touch(state[3], 512 * len(state[3]))
            found = []
            for name in state[3]:
                entry = table.get(name) if type(name) is str else None
                if type(entry) is not tuple or len(entry) < 2 or type(entry[1]) is not int:
                    raise NotPlainError
                type_ = dtype_of(entry[0], reader)
                if not 0 <= entry[1] <= size - type_.size or type_.depth >= _DEPTH:
                    raise NotPlainError
                found.append((name, type_, entry[1]))
            fields = tuple(found)
            if sum(type_.weight for _, type_, _ in fields) > 64 + 2 * size:
                raise NotPlainError  # fields of fields that overlap: one element would fill the memory
        if kind in "Mm" and len(state) > 8 and type(state[8]) is tuple and len(state[8]) == 2:
            unit = _unit(state[8][1], reader)
    if kind in "Mm":
        size = 8
    elif kind == "b":
        size = 1
    if (
        (kind in "fc" and not 2 <= size <= 32)
        or (kind in "iu" and size not in (1, 2, 4, 8))
        or (kind == "O" and not size)
    ):
        raise NotPlainError
    return DType(kind, size, order, unit, fields)


def _refuse() -> Any:
    raise NotPlainError


def _unit(raw: Any, reader: Reader) -> str:
    if type(raw) is not tuple or len(raw) < 2 or type(raw[1]) is not int or not 0 < raw[1] < 1 << 31:
        raise NotPlainError
    name = str(bytes(raw_bytes(raw[0], reader.budget)), "ascii", "replace")
    if name == "generic":
        return ""
    if name not in _UNITS and name not in ("Y", "M"):
        raise NotPlainError
    return name if raw[1] == 1 else f"{raw[1]}{name}"


def shape_of(raw: Any) -> tuple[int, ...]:
    """Return the shape that a raw value means."""
    shape = (raw,) if type(raw) is int else raw
    if (
        type(shape) is not tuple
        or len(shape) > 64
        or any(type(n) is not int or not 0 <= n < 1 << 62 for n in shape)
    ):
        raise NotPlainError
    return shape


#: What makes a type, by exact dotted name.
VALUES: Final[dict[str, Callable[[tuple[Any, ...], Node, Any], Any]]] = {
    "numpy.dtype": _dtype,
    "numpy._core._internal._convert_to_stringdtype_kwargs": _texts,
}
