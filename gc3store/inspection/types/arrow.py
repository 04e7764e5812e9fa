"""Arrays of Apache Arrow.

pandas keeps strings, and what ``dtype="...[pyarrow]"`` asks for, in such arrays. pyarrow
writes one as ``_restore_array`` of its type, length, offset and buffers. What is said of it is checked here;
pyarrow makes an array of the buffers, and checks it to the last value, when the first value is asked for. Times
are read as the numbers that they are stored as: pyarrow would import the time zone that the payload names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import Reader, builds, call_of, list_of, value_of
from gc3store.inspection.libraries import NotShownError, library
from gc3store.inspection.machine.nodes import Node
from gc3store.inspection.types.columns import Column
from gc3store.inspection.types.dtypes import aware, moment
from gc3store.inspection.types.numpy import buffer_of

_ALIASES: Final = frozenset(
    "null bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 halffloat float double string large_string "  # noqa: SIM905
    "binary large_binary date32[day] date64[ms] time32[s] time32[ms] time64[us] time64[ns]".split()
)
_UNITS: Final = frozenset({"s", "ms", "us", "ns"})
#: So many arrays may be within an array, and so deep in each other.
_MAX_WEIGHT: Final = 1000
_MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class _Type:
    """A type of values: its name, how pyarrow is told of what is stored, and what a stored value means."""

    name: str
    make: Callable[[Any], Any]
    plain: Callable[[Any], Any] = lambda value: value
    #: Whether a value takes any bytes: of those that do not, a list could have any number.
    takes_bytes: bool = True


@dataclass(frozen=True, slots=True)
class _Parts:
    """An array: type, length and offset, buffers, arrays within, and the values that its codes stand for."""

    type: _Type
    length: int
    offset: int
    buffers: list[memoryview | None]
    children: list[_Parts]
    dictionary: Column | None

    @property
    def source(self) -> tuple[Any, ...]:
        """All that its values are made from."""
        inner = [part for child in self.children for part in child.source]
        return (self.length, self.offset, *(b or b"" for b in self.buffers), *inner)

    @property
    def weight(self) -> int:
        """How many arrays it is made of."""
        return 1 + sum(child.weight for child in self.children)

    @property
    def depth(self) -> int:
        """How deep they are in each other."""
        return 1 + max((child.depth for child in self.children), default=0)

    def make(self, pa: Any) -> Any:
        """Return pyarrow's array, not yet checked."""
        buffers = [None if buffer is None else pa.py_buffer(buffer) for buffer in self.buffers]
        children = [child.make(pa) for child in self.children]
        return pa.Array.from_buffers(
            self.type.make(pa), self.length, buffers, offset=self.offset, children=children
        )

    def column(self) -> Column:
        """Return its values."""

        @cache
        def values() -> Any:
            pa = library("pyarrow")
            try:
                made = self.make(pa)
                made.validate(full=True)
            except (pa.ArrowException, ValueError, TypeError, OverflowError, MemoryError) as error:
                raise NotShownError(f"The stored array of Arrow is damaged: {error}.") from error
            return made

        def get(i: int) -> Any:
            try:
                value = values()[i].as_py()
                return None if value is None else self.type.plain(value)
            except (ArithmeticError, ValueError, TypeError) as error:
                raise NotShownError(f"A value of an array of Arrow cannot be shown: {error}.") from error

        if self.dictionary is None:
            return Column(self.length, get, f"{self.type.name}[pyarrow]", self.source)
        name = (
            f"dictionary<values={self.dictionary.dtype.removesuffix('[pyarrow]')}, indices={self.type.name}>"
        )
        codes = self.dictionary.at(lambda i: -1 if (code := get(i)) is None else code)
        return Column(self.length, codes, f"{name}[pyarrow]", (*self.source, self.dictionary))


def _parts(data: Any, reader: Reader) -> _Parts:
    if type(data) is not tuple or len(data) != 7:
        raise CannotConvert
    raw, length, _, offset, held, within, dictionary = data
    if any(type(n) is not int or not 0 <= n < 1 << 60 for n in (length, offset)):
        raise CannotConvert
    buffers = [_buffer(buffer, reader) for buffer in list_of(held, reader.budget)]
    children = []
    for child in list_of(within, reader.budget):
        made = reader.once(_parts, child)
        # The same child twice would be a value that is larger than the stream; and each time it is checked.
        size = sum(len(part) for part in made.source if isinstance(part, memoryview))
        reader.budget.touch(child, (1 << 16) + 16 * size)
        children.append(made)
    values = None if dictionary is None else reader.once(_parts, dictionary).column()
    parts = _Parts(_type(raw, children, values, reader), length, offset, buffers, children, values)
    if any(child.dictionary is not None for child in children):
        raise CannotConvert  # each place that refers to a value would be as large as it
    if parts.weight > _MAX_WEIGHT or parts.depth > _MAX_DEPTH:
        raise CannotConvert
    return parts


def _buffer(raw: Any, reader: Reader) -> memoryview | None:
    if raw is None:
        return None
    name, args = call_of(raw)
    if name != "pyarrow.lib.py_buffer" or len(args) != 1:
        raise CannotConvert
    view = buffer_of(args[0], reader)
    reader.budget.touch(view, 16 * len(view))
    return view


def _type(raw: Any, children: list[_Parts], values: Column | None, reader: Reader) -> _Type:
    called, args = call_of(raw)
    maker = called.removeprefix("pyarrow.lib.")
    if maker == "dictionary" and len(args) == 3 and values is not None:
        index = _type(args[0], [], None, reader)
        if not index.name.startswith(("int", "uint")) or values.dtype.startswith(_NESTED):
            raise CannotConvert  # each place that refers to a list would be as large as it
        return index
    if values is not None:
        raise CannotConvert
    if maker == "type_for_alias" and len(args) == 1 and type(args[0]) is str:
        return _named(args[0])
    if maker == "timestamp" and len(args) == 2 and args[0] in _UNITS and type(args[1]) in (str, type(None)):
        zone = f", tz={args[1][:100]}" if args[1] else ""
        return _ticks("M", f"timestamp[{args[0]}{zone}]", args[0], aware if args[1] is not None else None)
    if maker == "decimal128" and len(args) == 2 and all(type(n) is int and abs(n) < 100 for n in args):
        return _Type(f"decimal128({args[0]}, {args[1]})", lambda pa: pa.decimal128(*args))
    if maker in ("list_", "large_list") and len(children) == 1:
        return _list(maker, children[0].type)
    if maker == "struct" and len(args) == 1:
        names = [_field_name(field) for field in list_of(args[0], reader.budget)]
        return _struct(names, [child.type for child in children])
    raise CannotConvert


_NESTED: Final = ("dictionary", "list", "struct")


def _named(name: str) -> _Type:
    unit = name.removeprefix("duration[").removesuffix("]")
    if name.startswith("duration[") and unit in _UNITS:
        return _ticks("m", name, unit)
    if name not in _ALIASES:
        raise CannotConvert
    return _Type(name, lambda pa: pa.type_for_alias(name), takes_bytes=name != "null")


def _ticks(kind: str, name: str, unit: str, then: Callable[[Any], Any] | None = None) -> _Type:
    def plain(count: int) -> Any:
        value = moment(kind, unit, count)
        return value if then is None else then(value)

    return _Type(name, lambda pa: pa.int64(), plain)


def _list(maker: str, inner: _Type) -> _Type:
    if not inner.takes_bytes:
        raise CannotConvert

    def plain(values: list[Any]) -> list[Any]:
        return [None if value is None else inner.plain(value) for value in values]

    return _Type(f"list<{inner.name}>", lambda pa: getattr(pa, maker)(inner.make(pa)), plain)


def _field_name(raw: Any) -> str:
    name, args = call_of(raw)
    if name != "pyarrow.lib.field" or not args or type(args[0]) is not str:
        raise CannotConvert
    return args[0]


def _struct(names: list[str], types: list[_Type]) -> _Type:
    if len(names) != len(types) or len(set(names)) != len(names):
        raise CannotConvert

    def plain(values: dict[str, Any]) -> dict[str, Any]:
        found = zip(names, types, values.values(), strict=True)
        return {name: None if value is None else type_.plain(value) for name, type_, value in found}

    return _Type(
        "struct",
        lambda pa: pa.struct([(name, type_.make(pa)) for name, type_ in zip(names, types, strict=True)]),
        plain,
        any(type_.takes_bytes for type_ in types),
    )


def _array(data: Any, reader: Reader) -> Column:
    return reader.once(_parts, data).column()


@builds("pyarrow.lib._restore_array", holds=True)
def _restored(args: tuple[Any, ...], _node: Node, reader: Reader) -> Column:
    # pyarrow.lib._restore_array((type, length, missing, offset, buffers, children, dictionary))
    (parts,) = args
    return reader.once(_array, parts)


@builds("pyarrow.lib.chunked_array", holds=True)
def _chunked(args: tuple[Any, ...], _node: Node, reader: Reader) -> Column:
    # pyarrow.lib.chunked_array([array, ...], type)
    if not 1 <= len(args) <= 2:
        raise CannotConvert
    chunks = [value_of(chunk, Column, reader) for chunk in list_of(args[0], reader.budget)]
    if not chunks or len({chunk.dtype for chunk in chunks}) != 1:
        raise CannotConvert
    if len(chunks) == 1:
        return chunks[0]
    ends: list[int] = []
    for chunk in chunks:
        ends.append((ends[-1] if ends else 0) + len(chunk))

    def get(i: int) -> Any:
        number = bisect_right(ends, i)
        return chunks[number][i - (ends[number - 1] if number else 0)]

    return Column(ends[-1], get, chunks[0].dtype, tuple(chunks))
