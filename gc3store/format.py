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

from gc3store.ids import is_id

__all__ = [
    "DETACHED",
    "FIXED",
    "MAGIC",
    "PLAIN",
    "Damaged",
    "Head",
    "dump_json",
    "load_json",
    "offsets",
    "pack_head",
    "payload_size",
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


#: The types of what an entry has.
_KINDS: Mapping[str, type] = {
    **dict.fromkeys(("name", "cls", "state", "preview", "origin", "environment", "data", "error"), str),
    **dict.fromkeys(("size", "created", "modified"), int),
    **dict.fromkeys(("tags", "references", "buffers"), list),
    "columns": dict,
}


def _is_time(value: Any) -> bool:
    return type(value) is int and -62_135_596_800_000_000 <= value < 253_402_300_800_000_000


#: What else must hold of those that are not texts.
_FITS: Mapping[str, Callable[[Any], bool]] = {
    "size": lambda size: 0 <= size < 2**63,
    "created": _is_time,
    "modified": _is_time,
    "tags": lambda tags: all(type(tag) is str for tag in tags),
    "references": lambda ids: all(type(id_) is str and is_id(id_) for id_ in ids),
    "buffers": lambda sizes: all(type(size) is int and size >= 0 for size in sizes),
    # A time stands in a list.
    "columns": lambda values: all(
        type(value) is not list or (len(value) == 1 and _is_time(value[0])) for value in values.values()
    ),
}


class Damaged(Exception):  # noqa: N818  (a finding, which stores turn into an error of the tree)
    """The bytes are no record, or a damaged one; the text says how."""


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

    def entry(self) -> dict[str, Any]:
        """Return the catalogue entry; `Damaged` if it is none, or has something in it that cannot be."""
        try:
            entry = load_json(self.json)
        except ValueError as error:
            raise Damaged(f"its head cannot be read: {error}") from error
        if not isinstance(entry, dict):
            raise Damaged("its head is no catalogue entry")
        for name, value in entry.items():
            if (kind := _KINDS.get(name)) is not None and (
                type(value) is not kind or (kind is not str and not _FITS[name](value))
            ):
                raise Damaged(f"what stands for its {name} cannot be that")
        return entry


def pack_head(
    entry: Mapping[str, Any],
    *,
    flags: int,
    revision: int,
    stream_size: int,
    n_references: int,
    n_buffers: int,
    checksum: bytes,
) -> bytes:
    """Return the bytes that stand before a payload."""
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
        If it is no record, is cut off, or its checksum does not fit.
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
