"""Values that were read out of records before, in the user's cache directory.

One file for each store and path, which may be thrown away at any time. A value counts as long
as its record has the stamp that it was read at. Values are kept as JSON; what JSON cannot
hold exactly is read again each time.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import platformdirs
import xxhash

from gc3store.paths import MISSING

__all__ = ["Remembered"]

_VERSION: Final = 1
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


class Remembered:
    """The values on one path in the records of one store.

    Parameters
    ----------
    uuid : str or None
        The store's UUID; nothing is remembered of one that has none.
    path : str
        The path.
    """

    #: Stands for a value that was not remembered.
    UNKNOWN: ClassVar[Any] = _Unknown()

    def __init__(self, uuid: str | None, path: str) -> None:
        self._file: Path | None = None
        self._path = path
        if uuid is not None:
            digest = xxhash.xxh3_64_hexdigest(path.encode("utf-8", "surrogatepass"))
            name = "".join(ch for ch in uuid if ch.isalnum() or ch == "-")
            self._file = platformdirs.user_cache_path("gc3store") / "columns" / name / f"{digest}.json"

    def recall(self, ids: Sequence[str], stamps: Sequence[str]) -> tuple[list[Any], list[int]]:
        """Return what is known of each record, and the positions of those that are not."""
        table = self._load()
        values: list[Any] = []
        unknown: list[int] = []
        for position, (id_, stamp) in enumerate(zip(ids, stamps, strict=True)):
            entry = table.get(id_)
            if entry is not None and entry[0] == stamp:
                values.append(entry[1] if len(entry) > 1 else MISSING)
            else:
                values.append(self.UNKNOWN)
                unknown.append(position)
        return values, unknown

    def remember(self, ids: Sequence[str], stamps: Sequence[str], values: Sequence[Any]) -> None:
        """Keep values; failing to is no error."""
        if self._file is None:
            return
        table = self._load()
        for id_, stamp, value in zip(ids, stamps, values, strict=True):
            if value is MISSING:
                table[id_] = [stamp]
            elif type(value) in _PLAIN and not (type(value) is int and value.bit_length() > 1000):
                table[id_] = [stamp, value]
            else:
                table.pop(id_, None)
        temporary: str | None = None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self._file.parent)
            with os.fdopen(descriptor, "w") as file:
                # dumps is written in C, dump is not.
                file.write(json.dumps({"version": _VERSION, "path": self._path, "values": table}))
            os.replace(temporary, self._file)
        except OSError:
            if temporary is not None and os.path.exists(temporary):
                os.unlink(temporary)

    def _load(self) -> dict[str, list[Any]]:
        if self._file is None:
            return {}
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict) or found.get("version") != _VERSION or found.get("path") != self._path:
            return {}
        values = found.get("values")
        return values if isinstance(values, dict) else {}
