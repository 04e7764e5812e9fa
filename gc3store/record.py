"""What a store knows of an object besides its payload.

A `Record` is one entry of a store's catalogue. Each of its fields is declared once, as one line of the
class: its name, its type, its title for people and how JSON and databases keep it. `FIELDS` has them by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from gc3store.ids import number_of

__all__ = [
    "ENTRY_FIELDS",
    "FIELDS",
    "Field",
    "FieldKind",
    "Record",
    "from_microseconds",
    "human_size",
    "to_microseconds",
]

#: What a field holds. ``string``; ``strings``, a tuple of them; ``integer``; ``bytes``, a number of bytes; ``time``,
#: a moment in UTC, in entries the microseconds since the epoch; ``boolean``; ``json``, a mapping that is
#: JSON text in entries; ``columns``, the user columns; ``ids``, a tuple of IDs.
FieldKind = Literal["string", "strings", "integer", "bytes", "time", "boolean", "json", "columns", "ids"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the catalogue.

    Attributes
    ----------
    name : str
        Its name in `Record`, queries and tables.
    kind : str
        What it holds, see `FieldKind`.
    title : str
        What people read above it.
    place : {"key", "catalogue", "payload", "derived"}
        Where a database keeps it: it is part of the ID; it stands in the narrow table of the
        catalogue; it stands beside the payload, and only ``describe`` shows it; or it is worked out.
    key : str
        What it is called in entries (JSON) and databases.
    required : bool
        Whether each entry has a value.
    default : Any
        What it is where an entry has no value.
    queried : bool
        Whether it can be filtered and sorted on.
    width : int
        How wide a browser shows it at first, in pixels; 0 where it is not shown.
    """

    name: str
    kind: FieldKind
    title: str
    place: Literal["key", "catalogue", "payload", "derived"] = "catalogue"
    key: str = ""
    required: bool = False
    default: Any = None
    queried: bool = True
    width: int = 0


def _field(
    kind: FieldKind,
    title: str,
    *,
    default: Any = None,
    place: Literal["key", "catalogue", "payload", "derived"] = "catalogue",
    key: str | None = None,
    required: bool = False,
    queried: bool | None = None,
    width: int = 0,
) -> Any:
    """Declare a field of `Record`."""
    about = {
        "kind": kind,
        "title": title,
        "place": place,
        "key": key,
        "required": required,
        "queried": place != "payload" if queried is None else queried,
        "width": width,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=about)
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One entry of the catalogue: everything known of an object without loading it.

    Attributes
    ----------
    id : str
        The object's ID.
    name : str or None
        The label it was saved under.
    cls : str
        Its class, as ``module.Class``.
    state : str or None
        The state of a job (``TERMINATED``), for objects that have one.
    tags : tuple of str
        Labels to group by.
    size : int
        Bytes of the payload.
    created, modified : datetime
        When it was first saved and when its content last changed; UTC.
    revision : int
        How many times its content was written, from 1.
    preview : str or None
        A short string made at save time, for types known to be harmless to show.
    references : tuple of str
        IDs of the stored objects it refers to, in the order of their first use.
        Filled in by ``describe``; lists and tables leave it empty.
    origin : mapping of str to Any
        Who wrote it: user, host, versions, and in a notebook which cell.
        Filled in by ``describe``; lists and tables leave it empty.
    columns : mapping of str to Any
        Values of the store's user columns, `None` where there is none.
    checksum : str or None
        Hexadecimal checksum of the payload.
    is_root : bool
        Whether it was itself given to `save`, and not only kept as a part of another (see `orphans`).
        Filled in by ``describe``, where the store knows.
    error : str or None
        Why it cannot be loaded, where that is known.
    """

    id: str = dataclasses.field(
        metadata={
            "kind": "string",
            "title": "ID",
            "place": "key",
            "key": None,
            "required": True,
            "width": 105,
        }
    )
    name: str | None = _field("string", "Name", width=160)
    cls: str = _field("string", "Class", default="", required=True, width=110)
    state: str | None = _field("string", "State", width=120)
    tags: tuple[str, ...] = _field("strings", "Tags", default=(), width=130)
    size: int = _field("bytes", "Size", default=0, required=True, width=70)
    created: datetime | None = _field("time", "Created", required=True, width=96)
    modified: datetime | None = _field("time", "Saved", required=True, width=96)
    revision: int = _field("integer", "Revision", default=1, required=True, width=80)
    preview: str | None = _field("string", "Preview", place="payload")
    references: tuple[str, ...] = _field("ids", "Refers to", default=(), place="payload")
    origin: Mapping[str, Any] = _field("json", "Origin", default={}, place="payload")
    columns: Mapping[str, Any] = _field("columns", "Columns", default={}, queried=False)
    checksum: str | None = _field("string", "Checksum", place="payload")
    is_root: bool = _field(
        "boolean", "Saved by itself", default=True, key="explicit", required=True, queried=False
    )
    error: str | None = _field("string", "Error", place="derived", width=0)

    @property
    def number(self) -> int:
        """The number in the ID."""
        return number_of(self.id)

    @property
    def class_name(self) -> str:
        """The class without its module: ``IsingRun`` for ``ising.IsingRun``."""
        return self.cls.rpartition(".")[2]

    def __getitem__(self, name: str) -> Any:
        """Return a field, or a user column, by its name."""
        if name in FIELDS:
            return getattr(self, name)
        return self.columns[name]


def _declared() -> dict[str, Field]:
    found: dict[str, Field] = {}
    for field in dataclasses.fields(Record):
        about = {"queried": True, "width": 0, **field.metadata}
        default = None if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = {}
        found[field.name] = Field(
            field.name, **{**about, "key": about["key"] or field.name, "default": default}
        )
    return found


#: All fields of an entry, by name, in the order in which they are shown.
ENTRY_FIELDS: Final[Mapping[str, Field]] = _declared()

#: Those that can be filtered and sorted on. The number is worked out of the ID.
FIELDS: Final[Mapping[str, Field]] = {
    "id": ENTRY_FIELDS["id"],
    "number": Field("number", "integer", "Number", place="derived", key="number"),
    **{name: field for name, field in ENTRY_FIELDS.items() if field.queried and name != "id"},
}


def human_size(size: float) -> str:
    """Return a number of bytes as people write it.

    >>> human_size(999), human_size(4165), human_size(536870912)
    ('999 B', '4.2 kB', '537 MB')
    """
    if size < 1000:
        return f"{int(size)} B"
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        size /= 1000
        if size < 999.5:
            return f"{size:.1f} {unit}" if size < 9.95 else f"{size:.0f} {unit}"
    return f"{size:.0f} PB"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def from_microseconds(value: int | None) -> datetime | None:
    """Return the time that is `value` microseconds after the epoch, in UTC."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def to_microseconds(value: datetime) -> int:
    """Return a time in microseconds since the epoch.

    >>> to_microseconds(from_microseconds(1764072000123456))
    1764072000123456
    """
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
