"""Values that were read out of records before, in the user's cache directory.

One file for each store and path, see `gc3store.support.cache`. A value counts as long
as its record has the stamp that it was read at; one that was found by way of a reference,
as long as the records on the way have theirs. Where a store can tell at once that nothing in
it has changed, a file is taken as it is. Otherwise it is compared as a whole, or record by record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

import xxhash

from gc3store.format import dump_json, load_json
from gc3store.support.cache import CachedFile
from gc3store.tables.cell_values import GONE, UNKNOWN, Found, decoded, encoded

__all__ = ["STAMP", "Rows", "ValueCache", "stamps_of"]

_VERSION: Final = 3

#: The fields that a record's stamp is made of.
STAMP: Final = ("revision", "size", "modified")


@dataclass(frozen=True)
class Rows:
    """The records that a table shows.

    Attributes
    ----------
    ids : sequence of str
        Their IDs.
    stamps : sequence of str
        For each, a text that changes whenever the record does.
    whole : bool
        Whether these are all records of the store.
    token : str or None
        Changes whenever anything in the store does; `None` where nothing tells.
    """

    ids: Sequence[str]
    stamps: Sequence[str]
    whole: bool = False
    token: str | None = None

    @cached_property
    def digest(self) -> str:
        """What tells these records in this state from others."""
        hasher = xxhash.xxh3_128()
        for texts in (self.ids, self.stamps):
            hasher.update("\0".join(texts).encode("utf-8", "surrogatepass"))
            hasher.update(b"\n")
        return hasher.hexdigest()


def stamps_of(fields: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the stamps of records from columns of their fields."""
    return [f"{r}.{s}.{m}" for r, s, m in zip(*(fields[name] for name in STAMP), strict=True)]


Current = Callable[[Iterable[str]], Mapping[str, str]]


class ValueCache:
    """The values on one path in the records of one store.

    Parameters
    ----------
    uuid : str or None
        The store's UUID; without one, nothing is cached.
    path : str
        The path.
    """

    #: Stands for a value that is not cached.
    UNKNOWN: ClassVar[Any] = UNKNOWN

    def __init__(self, uuid: str | None, path: str) -> None:
        self._file = None if uuid is None else CachedFile("columns", f"{uuid} {path}", version=_VERSION)

    def all(self, token: str) -> tuple[list[str], list[Any]] | None:
        """Return the IDs and values of all records of a store in the state that `token` stands for.

        `None` unless the values of all of them are cached.
        """
        head, rest = self._read()
        if head is None or head.get("token") != token or not head.get("complete"):
            return None
        try:
            values, ids = load_json(rest[0]), load_json(rest[1])
        except ValueError:
            return None
        return ids, [v if type(v) is not dict else _value(v) for v in values]

    def get(self, rows: Rows, current: Current) -> tuple[list[Any], list[int], bool]:
        """Return what is known of each record, the positions of those that are not, and whether all is current.

        It is current if these very records were cached last, in the state that they are in.

        Parameters
        ----------
        rows : Rows
            The records.
        current : callable
            Returns the stamps that other records have now, by ID.
        """
        head, rest = self._read()
        if head is None:
            return [UNKNOWN] * len(rows.ids), list(range(len(rows.ids))), False
        found: list[Any]
        same = head.get("digest") == rows.digest
        if same:
            found = load_json(rest[0])
        else:
            values, ids, stamps = (load_json(line) for line in rest)
            entries = dict(zip(ids, zip(stamps, values, strict=True), strict=True))
            nothing = (None, None)
            found = []
            for id_, stamp in zip(rows.ids, rows.stamps, strict=True):
                known, value = entries.get(id_, nothing)
                found.append(value if known == stamp else {"t": "unknown"})
        odd = [at for at, value in enumerate(found) if type(value) is dict]
        if odd:
            self._decode(found, odd, rows, current)
        exact = same and head.get("token") == rows.token
        return found, [at for at in odd if found[at] is UNKNOWN], exact

    def _decode(self, found: list[Any], odd: list[int], rows: Rows, current: Current) -> None:
        for at in odd:
            found[at] = decoded(found[at])
        indirect = [at for at in odd if type(found[at]) is Found]
        if not indirect:
            return
        now = current({id_ for at in indirect for id_, _ in found[at].on})
        for at in indirect:
            if not all(now.get(id_, GONE) == stamp for id_, stamp in found[at].on):
                found[at] = UNKNOWN

    def put(self, rows: Rows, values: Sequence[Any]) -> None:
        """Keep values, those found by way of references as `Found`; a failure to do so is ignored."""
        if self._file is None:
            return
        ids, stamps = list(rows.ids), list(rows.stamps)
        kept = [encoded(value) for value in values]
        digest = rows.digest
        complete = rows.whole and not any(type(v) is dict and v["t"] == "unknown" for v in kept)
        if not rows.whole:  # what other queries asked for is kept
            head, rest = self._read()
            if head is not None:
                shown = set(ids)
                for value, id_, stamp in zip(*(load_json(line) for line in rest), strict=True):
                    if id_ not in shown:
                        ids.append(id_)
                        stamps.append(stamp)
                        kept.append(value)
                        digest = ""
        body = b"\n".join(dump_json(part) for part in (kept, ids, stamps))
        head = {"token": rows.token, "digest": digest, "complete": complete}
        self._file.write(dump_json(head) + b"\n" + body)

    def _read(self) -> tuple[dict[str, Any] | None, list[bytes]]:
        data = None if self._file is None else self._file.read()
        if data is None:
            return None, []
        head, *rest = data.split(b"\n")
        return load_json(head), rest


def _value(cell: Any) -> Any:
    value = decoded(cell)
    return value.value if type(value) is Found else value
