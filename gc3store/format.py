"""One record as a sequence of bytes: how files in a directory and exports look.

::

    offset  size
    0       8     magic: 0x89 "GC3" CR LF 0x1A LF
    8       8     checksum of all from here to the end of the head, XXH3-64
    16      2     version of this layout, 1
    18      2     flags
    20      4     H, size of the head
    24      8     revision
    32      8     S, size of the pickle stream
    40      4     number of references
    44      4     number of out-of-band buffers
    48      16    checksum of the payload, XXH3-128 over stream and buffers
    64      H     head: the catalogue entry, JSON in UTF-8
    64+H    S     pickle stream, unless it is in a file of its own
            ...   the buffers, each beginning at a multiple of 64 bytes
                  after the beginning of the stream

Numbers are little-endian. What is needed for loading an object without
references and buffers stands in the fixed part, so the head need not be parsed.
The layout is a file format: readers of later versions keep reading it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import xxhash

from gc3store.columns import columns_from_json, columns_to_json
from gc3store.ids import is_id
from gc3store.record import ENTRY_FIELDS, FieldKind, Record, from_microseconds, to_microseconds

__all__ = [
    "DETACHED",
    "FIXED",
    "MAGIC",
    "PLAIN",
    "Damaged",
    "Head",
    "aligned",
    "dump_json",
    "entry_from_json",
    "entry_of_record",
    "entry_to_json",
    "load_json",
    "offsets",
    "pack_head",
    "payload_size",
    "record_from_json",
    "split_payload",
    "unpack_head",
]

MAGIC = b"\x89GC3\r\n\x1a\n"
VERSION = 1
_START = struct.Struct("<8sQ")
_REST = struct.Struct("<HHIQQII16s")
#: Size of the fixed part, in bytes.
FIXED = _START.size + _REST.size

#: Flag: the payload needs none of our hooks for reading.
PLAIN = 1
#: Flag: stream and buffers are in a file of their own.
DETACHED = 2

_ALIGNMENT = 64


def dump_json(value: Any) -> bytes:
    """Return a catalogue entry, or several, as JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # half a surrogate pair, as in names of undecodable files
        return json.dumps(value).encode()


def load_json(data: bytes | str) -> Any:
    """Return what `dump_json` was given; `ValueError` if that cannot be."""
    try:
        return orjson.loads(data)
    except ValueError:
        return json.loads(data)


def _is_time(value: Any) -> bool:
    return type(value) is int and -62_135_596_800_000_000 <= value < 253_402_300_800_000_000


def _is_string(value: Any) -> bool:
    return type(value) is str


def _is_columns(values: Any) -> bool:
    # A time stands in a list.
    return type(values) is dict and all(
        type(value) is not list or (len(value) == 1 and _is_time(value[0])) for value in values.values()
    )


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


#: What must hold of the values of fields of each kind, as JSON has them.
_FITS: Mapping[FieldKind, Callable[[Any], bool]] = {
    "string": _is_string,
    "strings": lambda values: type(values) is list and all(type(value) is str for value in values),
    "integer": lambda value: type(value) is int,
    "bytes": _is_size,
    "time": _is_time,
    "boolean": lambda value: value in (True, False),
    "json": _is_string,
    "columns": _is_columns,
    "ids": lambda ids: type(ids) is list and all(type(id_) is str and is_id(id_) for id_ in ids),
}
#: The fixed part of a head has these.
_IN_FIXED_PART = frozenset({"revision", "checksum"})
_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **{
        field.key: _FITS[field.kind] for field in ENTRY_FIELDS.values() if field.name not in ("id", "is_root")
    },
    "environment": _is_string,
    "data": _is_string,
    "buffers": lambda sizes: type(sizes) is list and all(type(size) is int and size >= 0 for size in sizes),
}


def entry_to_json(entry: Mapping[str, Any], **further: Any) -> dict[str, Any]:
    """Return a catalogue entry as JSON has it, without what is missing.

    Parameters
    ----------
    entry : mapping
        Values by the names of `ENTRY_FIELDS`, as in `gc3store.backend.PendingRecord.entry`; others are left out.
    **further
        What else the entry has.

    Examples
    --------
    >>> entry_to_json({"cls": "builtins.dict", "name": None, "is_root": True, "size": 3}, id="dict.1")
    {'id': 'dict.1', 'cls': 'builtins.dict', 'size': 3, 'explicit': True}
    """
    found: dict[str, Any] = {}
    for name, field in ENTRY_FIELDS.items():
        value = further.pop(name) if name in further else entry.get(name)
        if field.kind == "columns" and value:
            value = columns_to_json(value)
        # An empty string and a zero are values; a tuple, a list or a mapping without anything is not.
        if (value or type(value) in (int, str)) and name not in _IN_FIXED_PART:
            found[field.key] = value
    found |= {name: value for name, value in further.items() if value or type(value) in (int, str)}
    return found


def entry_from_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `entry_to_json` was given, without ID and references."""
    entry: dict[str, Any] = {}
    for name, field in ENTRY_FIELDS.items():
        if name in _IN_FIXED_PART or name in ("id", "references"):
            continue
        value = found.get(field.key)
        if field.kind == "columns":
            value = columns_from_json(value or {}, tuple(value or ()))
        elif field.kind == "strings":
            value = tuple(value or ())
        elif field.kind == "boolean":
            value = bool(value)
        entry[name] = value
    return entry


def entry_of_record(record: Record) -> dict[str, Any]:
    """Return the catalogue entry that a record shows, in the form of `gc3store.backend.PendingRecord.entry`."""
    entry: dict[str, Any] = {}
    for name, field in ENTRY_FIELDS.items():
        if name in _IN_FIXED_PART or name in ("id", "references"):
            continue
        value = getattr(record, name)
        if field.kind == "time" and value is not None:
            value = to_microseconds(value)
        elif field.kind == "json":
            value = json.dumps(dict(value))
        elif field.kind == "columns":
            value = dict(value)
        entry[name] = value
    return entry


def record_from_json(
    entry: Mapping[str, Any],
    *,
    environment: str | None = None,
    columns: Sequence[str] = (),
    is_root: bool = True,
) -> Record:
    """Return the record that a catalogue entry describes.

    Parameters
    ----------
    entry : mapping
        What `entry_to_json` returned, and what stands beside it: ``revision`` and ``checksum``.
    environment : str, optional
        The text that `gc3store.support.provenance` made when it was saved.
    columns : sequence of str
        Names of the store's user columns.
    is_root : bool
        What is assumed where the entry does not say whether it was saved by itself.
    """
    values: dict[str, Any] = {}
    for name, field in ENTRY_FIELDS.items():
        value = entry.get(field.key)
        if value is None:
            continue
        if field.kind == "time":
            value = from_microseconds(value)
        elif field.kind in ("strings", "ids"):
            value = tuple(value)
        elif field.kind == "boolean":
            value = bool(value)
        values[name] = value
    values.setdefault("is_root", is_root)
    values["columns"] = columns_from_json(entry.get("columns") or {}, columns)
    origin: dict[str, Any] = {}
    for text in environment, values.get("origin"):
        try:
            origin.update(json.loads(text) if text else {})
        except (TypeError, ValueError):  # all else can be told
            values.setdefault("error", "damaged: where it came from cannot be read")
    values["origin"] = origin
    return Record(**values)


class Damaged(Exception):  # noqa: N818  (a finding, which stores turn into an error of the tree)
    """The bytes are not a record, or the record is damaged; the message says how."""


class Head(NamedTuple):
    """What stands before a payload.

    Attributes
    ----------
    flags, revision, stream_size, n_references, n_buffers, checksum
        The fixed part.
    json : bytes
        The catalogue entry.
    end : int
        Where the head ends, and an attached payload begins.
    """

    flags: int
    revision: int
    stream_size: int
    n_references: int
    n_buffers: int
    checksum: bytes
    json: bytes
    end: int

    @property
    def is_plain(self) -> bool:
        """Whether the payload needs none of our hooks for reading."""
        return self.flags & PLAIN != 0

    @property
    def is_detached(self) -> bool:
        """Whether the payload is in a file of its own."""
        return self.flags & DETACHED != 0

    def repack(self, entry: Mapping[str, Any]) -> bytes:
        """Return the head of the same payload with another catalogue entry."""
        return pack_head(
            entry,
            flags=self.flags,
            revision=self.revision,
            stream_size=self.stream_size,
            checksum=self.checksum,
            n_references=self.n_references,
            n_buffers=self.n_buffers,
        )

    def check_length(self, entry: Mapping[str, Any], length: int) -> None:
        """Raise `Damaged` if a record of `length` bytes is too short or too long."""
        stop = self.end
        if not self.is_detached:
            stop += payload_size(self.stream_size, entry.get("buffers", ()))
        if length != stop:
            raise Damaged(f"it is {length} bytes long and should be {stop}")

    def entry(self) -> dict[str, Any]:
        """Return the catalogue entry; raise `Damaged` if it is not an entry, or has an impossible value."""
        try:
            entry = load_json(self.json)
        except ValueError as error:
            raise Damaged(f"its head cannot be read: {error}") from error
        if not isinstance(entry, dict):
            raise Damaged("its head is not a catalogue entry")
        for name, value in entry.items():
            fits = _CHECKS.get(name)
            if fits is not None and not fits(value):
                raise Damaged(f"what stands for its {name} cannot be that")
        return entry


def pack_head(
    entry: Mapping[str, Any],
    *,
    flags: int,
    revision: int,
    stream_size: int,
    checksum: bytes,
    n_references: int | None = None,
    n_buffers: int | None = None,
) -> bytes:
    """Return the bytes that stand before a payload; the numbers are those of the entry unless they are given."""
    if n_references is None:
        n_references = len(entry.get("references", ()))
    if n_buffers is None:
        n_buffers = len(entry.get("buffers", ()))
    head = dump_json(entry)
    body = (
        _REST.pack(VERSION, flags, len(head), revision, stream_size, n_references, n_buffers, checksum) + head
    )
    return _START.pack(MAGIC, xxhash.xxh3_64_intdigest(body)) + body


def unpack_head(data: bytes | memoryview) -> Head:
    """Return the head of a record; `data` may go on behind it.

    Raises
    ------
    Damaged
        If it is not a record, is cut off, or its checksum does not fit.
    """
    if len(data) < FIXED:
        raise Damaged(f"it is cut off after {len(data)} bytes")
    magic, check = _START.unpack_from(data)
    if magic != MAGIC:
        raise Damaged("it does not begin like a record")
    version, flags, size, revision, stream, references, buffers, checksum = _REST.unpack_from(
        data, _START.size
    )
    end = FIXED + size
    if len(data) < end:
        raise Damaged(f"it is cut off after {len(data)} bytes")
    if xxhash.xxh3_64_intdigest(memoryview(data)[_START.size : end]) != check:
        raise Damaged("the checksum of its head does not fit")
    if version > VERSION:
        raise Damaged(f"it was written in version {version} of the format, by a newer release")
    head = bytes(data[FIXED:end])
    return Head(flags, revision, stream, references, buffers, checksum, head, end)


def offsets(stream_size: int, sizes: Iterable[int]) -> Iterator[int]:
    """Yield where buffers of the given sizes begin, counted from the beginning of the stream.

    >>> list(offsets(100, [10, 64, 1]))
    [128, 192, 256]
    """
    position = stream_size
    for size in sizes:
        position += -position % _ALIGNMENT
        yield position
        position += size


def payload_size(stream_size: int, sizes: Sequence[int]) -> int:
    """Return how many bytes a payload takes up, gaps included."""
    position = stream_size
    for size in sizes:
        position += -position % _ALIGNMENT + size
    return position


def split_payload(payload: memoryview, stream_size: int, sizes: Sequence[int]) -> list[memoryview]:
    """Return the buffers of a payload, as views of it.

    >>> split_payload(memoryview(b"stream" + bytes(58) + b"buffer"), 6, [6])[0].tobytes()
    b'buffer'
    """
    places = zip(offsets(stream_size, sizes), sizes, strict=True)
    return [payload[start : start + size] for start, size in places]


def aligned(
    parts: Iterable[Iterable[memoryview]], stream_size: int, sizes: Iterable[int]
) -> Iterator[bytes | memoryview]:
    """Yield a payload piece by piece, with gaps where the next buffer begins later.

    Parameters
    ----------
    parts : iterable
        The stream, then each buffer, each in pieces.
    stream_size, sizes
        How long they are, in bytes.
    """
    starts = iter([0, *offsets(stream_size, sizes)])
    position = 0
    for part in parts:
        gap = next(starts) - position
        if gap:
            yield bytes(gap)
            position += gap
        for piece in part:
            position += piece.nbytes
            yield piece
