"""A directory that GC3Pie wrote: one plain pickle per object, its name the object's ID.

What is relied on
-----------------
GC3Pie replaces a file by renaming it to ``ID.OLD``, writing a new one under the name,
and deleting the old one. So while it does so, or after it was killed, the newest
complete state may be in ``ID.OLD``: a file that is missing, or does not end as a pickle
does, is looked for there, as GC3Pie itself does. What is written here appears by
renaming a complete file. Its temporary name ends in ``.OLD`` as well, since GC3Pie
takes every other name in the directory for an ID.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from gc3store.backend import PendingRecord, check_revision, mark_stored, not_found
from gc3store.engine.record_store import RecordStore
from gc3store.errors import OptionError, StoreError
from gc3store.filesystem import path_of
from gc3store.filesystem.catalogue import DirectoryIndex
from gc3store.gc3pie.backend import GC3PieBackend
from gc3store.gc3pie.numbers import next_numbers
from gc3store.gc3pie.records import entry_of_pickle
from gc3store.ids import is_id, make_id, number_of
from gc3store.inspection.machine.templates import Templates
from gc3store.support.files import (
    Staged,
    locked,
    sync_directory,
    sync_file,
    unavailable,
    write_file,
)
from gc3store.support.urls import file_url

__all__ = ["GC3PieDirectory", "GC3PieDirectoryBackend", "is_gc3pie_directory"]

_OLD = ".OLD"


def is_gc3pie_directory(path: str) -> bool:
    """Whether GC3Pie wrote what is in a directory: a file named like an ID that holds a pickle."""
    try:
        with os.scandir(path) as found:
            for file in found:
                if _id_of(file.name) is not None and file.is_file():
                    with open(file.path, "rb") as stream:
                        head = stream.read(2)
                    if len(head) == 2 and head[0] == 0x80 and head[1] <= 5:
                        return True
    except OSError:
        return False
    return False


class GC3PieDirectoryBackend(GC3PieBackend):
    """Records in a directory that GC3Pie wrote.

    Parameters
    ----------
    path : str
        The directory.
    read_only, durable : bool
        As for every backend.
    """

    atomic: ClassVar[bool] = False
    needs_own_id: ClassVar[bool] = True

    index: _Index

    def __init__(self, path: str, *, read_only: bool = False, durable: bool = True) -> None:
        place = file_url(os.path.realpath(path))
        super().__init__(file_url(path), place=place, read_only=read_only, durable=durable)
        self._files = _Files(path)
        self.index = _Index(path, self)

    # Reading.

    def pickles(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield those records that exist, each with its pickle."""
        for id_ in ids:
            data = self._files.read(id_)
            if data is not None:
                yield id_, data

    def entry_of(self, id_: str, templates: Templates | None = None) -> dict[str, Any] | None:
        """Return the catalogue entry of a record; an unreadable file is one with an error."""
        try:
            data = self._files.read(id_)
        except StoreError as error:  # a file that cannot be read is listed with the reason
            return {"id": id_, "error": str(error)}
        if data is None:
            return None
        entry = entry_of_pickle(id_, data, templates)
        modified = self._files.modified(id_)
        if modified is not None:
            entry["modified"] = modified
        return entry

    # Transactions: each record is one of its own.

    def begin(self) -> None:
        """Make the directory, if it does not exist."""
        self._files.make_folder()

    def commit(self) -> None:
        """Do nothing: each record is a transaction of its own."""

    def rollback(self) -> None:
        """Do nothing: each record is a transaction of its own."""

    # Writing.

    def new_ids(self, prefixes: Sequence[str]) -> list[str]:
        """Return IDs with the prefixes, numbered by the counter of GC3Pie."""
        if not prefixes:
            return []
        above = max(map(number_of, self._files.ids()), default=0)
        numbers = next_numbers(len(prefixes), above=above)
        return [make_id(prefix, number) for prefix, number in zip(prefixes, numbers, strict=True)]

    def put(self, records: Sequence[tuple[PendingRecord, bytes]]) -> None:
        """Write files, in this order; all are complete before the first gets its name."""
        with self._files.writing():
            changed = [record for record, _ in records if record.mode == "changed"]
            found = self.revisions([str(record.id) for record in changed])
            for record in changed:
                check_revision(str(record.id), record.expected, found.get(str(record.id)))
            self._put(records)

    def _put(self, records: Sequence[tuple[PendingRecord, bytes]]) -> None:
        staged: list[tuple[PendingRecord, Staged]] = []
        complete = False
        try:
            for record, data in records:
                stage = self._files.stage(str(record.id))
                staged.append((record, stage))
                write_file(stage.head, [data])
                if self.durable:
                    sync_file(stage.head)
            for record, stage in staged:
                self._files.publish(stage, new=record.mode != "changed")
            if self.durable:
                self._files.sync()
            complete = True
            _mark_all(records)
        except BaseException:
            if complete:  # interrupted right behind it
                _mark_all(records)
            else:
                self._take_back(staged)
            raise

    def _take_back(self, staged: Sequence[tuple[PendingRecord, Staged]]) -> None:
        """Remove what was written of records that do not stay after a failure."""
        mark_stored([(record, stage.published) for record, stage in staged])
        for record, stage in staged:
            if stage.published and record.mode != "changed" and not record.stored:
                with suppress(OSError):
                    os.unlink(stage.target)
            stage.discard()

    def delete(self, ids: Sequence[str]) -> None:
        """Delete the files of records, in this order."""
        with self._files.writing():
            for id_ in ids:
                self._files.delete(id_)
            if self.durable:
                self._files.sync()

    def define_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Raise the error: there is no place for columns."""
        raise _no_columns()

    def reopening(self, *, with_password: bool) -> tuple[str, dict[str, Any]]:
        """Return the path and the options that open this directory again."""
        return self._files.path, {"durable": self.durable, "read_only": self.read_only}


class GC3PieDirectory(RecordStore):
    """A `FilesystemStore` of GC3Pie, in place.

    Parameters
    ----------
    url : str or os.PathLike
        The directory, as a path or a ``file:`` URL.
    durable : bool
        Whether a save waits until the object is on stable storage.
    read_only : bool
        Never write.

    Notes
    -----
    Looking and loading change nothing. What is saved here GC3Pie can load again; what it
    saved is rewritten only where an object was changed and saved, or replaced. GC3Pie has
    no place for names and tags.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        durable: bool = True,
        read_only: bool = False,
        trust: Any = "everything",
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        if columns:
            raise _no_columns()
        self.path = path_of(url)
        super().__init__(GC3PieDirectoryBackend(self.path, read_only=read_only, durable=durable), trust=trust)

    def load(self, id_: str, *, fresh: bool = False, missing: str = "error") -> Any:
        """Return the object with ID `id_`, each record being read once; see `RecordStore.load`."""
        with self._transaction.lock, self.backend.snapshot():
            return super().load(id_, fresh=fresh, missing=missing)

    def offers(self, method: str) -> bool:
        """Whether the store offers an optional method."""
        return method != "fill_columns" and super().offers(method)

    def fill_columns(self, names: Iterable[str] | None = None, **options: Any) -> int:
        """Raise `NotSupportedError`: there is no place for columns."""
        raise self._unsupported("fill_columns")


def _mark_all(records: Sequence[tuple[PendingRecord, bytes]]) -> None:
    for record, _ in records:
        record.stored = True


def _no_columns() -> OptionError:
    return OptionError(
        "A directory of GC3Pie has no place for columns; copy its objects to a store of gc3store to have some."
    )


class _Files:
    """The files of such a directory.

    Attributes
    ----------
    path : str
        The directory.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def _file(self, id_: str) -> str:
        return os.path.join(self.path, id_)

    def read(self, id_: str) -> bytes | None:
        """Return the newest complete pickle of a record; `None` if there is none."""
        path = self._file(id_)
        data = self._read(path)
        if data is None or not data.endswith(b"."):
            # It may just be being written, or its writer was killed.
            data = self._read(path + _OLD) or data or self._read(path)
        return data

    def _read(self, path: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unavailable(self.path, error, "read") from error

    def ids(self) -> Iterator[str]:
        """Yield the IDs that the names of files show; no file is opened."""
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from filter(None, map(_id_of, os.listdir(self.path)))

    def modified(self, id_: str) -> int | None:
        """Return when a record was written, in microseconds."""
        for path in (self._file(id_), self._file(id_) + _OLD):
            with suppress(OSError):
                return os.stat(path).st_mtime_ns // 1000
        return None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other processes that use this class from writing meanwhile; errors are those of our tree.

        The directory itself is locked: a lock file in it GC3Pie would take for an object.
        """
        with self._translated(), locked(self.path, directory=True):
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise unavailable(self.path, error, "written") from error

    def make_folder(self) -> None:
        """Make the directory, if it does not exist."""
        with self._translated():
            os.makedirs(self.path, exist_ok=True)

    def stage(self, id_: str) -> Staged:
        """Return a temporary file for a record."""
        stage = Staged(self._file(id_))
        stage.head = os.path.join(self.path, f".gc3store-{secrets.token_hex(8)}{_OLD}")
        return stage

    def publish(self, stage: Staged, *, new: bool) -> None:
        """Give a file its name: if it is `new`, never that of another."""
        stage.publish(new=new)
        if not new:
            with suppress(FileNotFoundError):
                os.unlink(stage.target + _OLD)  # it would be older than this

    def delete(self, id_: str) -> None:
        """Delete the files of a record."""
        found = False
        for path in (self._file(id_), self._file(id_) + _OLD):
            with suppress(FileNotFoundError):
                os.unlink(path)
                found = True
        if not found:
            raise not_found(id_)

    def sync(self) -> None:
        """Wait until the names of the files are on stable storage."""
        sync_directory(self.path)


def _id_of(name: str) -> str | None:
    """Return the ID of the record in a file of this name, `None` if it holds none."""
    name = name.removesuffix(_OLD)
    return name if is_id(name) else None


class _Index(DirectoryIndex):
    """The catalogue of such a directory."""

    def __init__(self, path: str, backend: GC3PieDirectoryBackend) -> None:
        super().__init__(path, backend.entry_of)
        self._backend = backend

    def _read_many(self, ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        templates = Templates()
        return ((id_, self._backend.entry_of(id_, templates)) for id_ in ids)

    _id_of = staticmethod(_id_of)
