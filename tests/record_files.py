"""Record files of a directory changed by hand, as an attacker or a defective program could do, checksums and all."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import xxhash

#: Magic and checksum, then the rest of the fixed part; the third number of the rest is the size of the entry.
_START = struct.Struct("<8sQ")
_REST = struct.Struct("<HHIQQII16s")


def columns_to_json(file: Path) -> dict[str, Any]:
    """Return the catalogue entry in a record file."""
    data = file.read_bytes()
    size = _REST.unpack_from(data, _START.size)[2]
    begin = _START.size + _REST.size
    entry: dict[str, Any] = json.loads(data[begin : begin + size])
    return entry


def change_entry(file: Path, **changes: Any) -> None:
    """Change fields of the catalogue entry in a record file; the payload behind it stays."""
    data = file.read_bytes()
    magic, _ = _START.unpack_from(data)
    fixed = list(_REST.unpack_from(data, _START.size))
    payload = data[_START.size + _REST.size + fixed[2] :]
    entry = json.dumps({**columns_to_json(file), **changes}).encode()
    fixed[2] = len(entry)
    body = _REST.pack(*fixed) + entry
    file.write_bytes(_START.pack(magic, xxhash.xxh3_64_intdigest(body)) + body + payload)
