"""A directory that GC3Pie wrote: one plain pickle per object, its name the object's ID.

What is relied on
-----------------
GC3Pie replaces a file by renaming it to ``ID.OLD``, writing a new one under the name,
and deleting the old one. So between two of its steps, or after it was killed, the newest
complete state may be in ``ID.OLD``: a file that is missing, or does not end as a pickle
does, is looked for there, as GC3Pie itself does. What is written here appears by
renaming a complete file. Its temporary name ends in ``.OLD`` as well, since GC3Pie
takes every other name in the directory for an ID.
"""

from __future__ import annotations

import builtins
import os
import secrets
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, ClassVar

from gc3store.engine.primitives import Draft, check_revision, not_found
from gc3store.engine.settling import mark_staying
from gc3store.errors import OptionError, StoreError
from gc3store.filesystem import path_of
from gc3store.filesystem.catalogue import DirectoryIndex
from gc3store.gc3pie.numbers import next_numbers
from gc3store.gc3pie.records import GC3PieRecords
from gc3store.ids import is_id, make_id, number_of
from gc3store.inspection.machine.templates import Templates
from gc3store.persistable import reduced_store
from gc3store.support.files import (
    Staged,
    locked,
    sync_directory,
    sync_file,
    unavailable,
    write_file,
)
from gc3store.support.urls import file_url

__all__ = ["GC3PieDirectory", "is_gc3pie_directory"]

_OLD = ".OLD"


def is_gc3pie_directory(path: str) -> bool:
    """Whether GC3Pie wrote what is in a directory: a file named like an ID that holds a pickle."""
    try:
        with os.scandir(path) as found:
            for file in found:
                if _Index._id_of(file.name) is not None and file.is_file():
                    with open(file.path, "rb") as stream:
                        head = stream.read(2)
                    if len(head) == 2 and head[0] == 0x80 and head[1] <= 5:
                        return True
    except OSError:
        return False
    return False


class GC3PieDirectory(GC3PieRecords):
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

    atomic_batches: ClassVar[bool] = False
    _must_name: ClassVar[bool] = True
    _absent: ClassVar[frozenset[str]] = GC3PieRecords._absent | {"fill_columns"}
    _index: _Index

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
            raise OptionError(
                "A directory of GC3Pie has no place for columns; copy its objects to a store of gc3store to have some."
            )
        path = path_of(url)
        super().__init__(file_url(path), durable=durable, read_only=read_only, trust=trust)
        self.path = path
        self._uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, file_url(os.path.realpath(path))))
        self._index = _Index(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return reduced_store(
            self,
            self.path,
            {"durable": self.durable, "read_only": self.read_only, "trust": self.trust.option},
        )

    def _reduce_for_payload(self) -> Any:
        return self.__reduce__()

    def close(self) -> None:
        """Forget what was read; a closed directory can still be used."""
        with self._lock:
            self._index.close()

    def pre_fork(self) -> None:
        """Do nothing: no file stays open between calls."""

    def _forked(self) -> None:
        self._seen = None
        self._index.forget_connection()

    # Reading.

    def _file(self, id_: str) -> str:
        return os.path.join(self.path, id_)

    def _data(self, ids: Sequence[str]) -> dict[str, bytes]:
        found = {}
        for id_ in ids:
            data = self._read_file(self._file(id_))
            if data is None or not data.endswith(b"."):
                # It may just be being written, or its writer was killed.
                data = self._read_file(self._file(id_) + _OLD) or data or self._read_file(self._file(id_))
            if data is not None:
                found[id_] = data
        return found

    def _read_file(self, path: str) -> bytes | None:
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unavailable(error, "read") from error

    def _entry_of(self, id_: str, templates: Templates | None = None) -> dict[str, Any] | None:
        try:
            entry = super()._entry_of(id_, templates)
        except StoreError as error:  # a file that cannot be read is listed with the reason
            return {"id": id_, "error": str(error)}
        for name in (self._file(id_), self._file(id_) + _OLD):
            if entry is not None and "modified" not in entry:
                with suppress(OSError):
                    entry["modified"] = os.stat(name).st_mtime_ns // 1000
        return entry

    # Writing.

    def _new_ids(self, prefixes: Sequence[str]) -> builtins.list[str]:
        if not prefixes:
            return []
        above = max((number_of(id_) for id_ in self._index.ids_in_directory()), default=0)
        numbers = next_numbers(len(prefixes), above=above)
        return [make_id(prefix, number) for prefix, number in zip(prefixes, numbers, strict=True)]

    def _put(self, records: Sequence[tuple[Draft, bytes]], fresh: set[str]) -> None:
        try:
            os.makedirs(self.path, exist_ok=True)
            with self._locked():
                existing = [str(draft.id) for draft, _ in records if draft.id not in fresh]
                found = self._revisions(existing)
                for draft, _ in records:
                    if draft.id not in fresh:
                        check_revision(str(draft.id), draft.expected, found.get(str(draft.id)))
                self._put_files(records, fresh)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._unavailable(error, "written") from error

    def _put_files(self, records: Sequence[tuple[Draft, bytes]], fresh: set[str]) -> None:
        staged: builtins.list[tuple[Draft, Staged]] = []
        try:
            for draft, data in records:
                stage = Staged(self._file(str(draft.id)))
                stage.head = os.path.join(self.path, f".gc3store-{secrets.token_hex(8)}{_OLD}")
                staged.append((draft, stage))
                write_file(stage.head, [data])
                if self.durable:
                    sync_file(stage.head)
            for draft, stage in staged:
                stage.publish(new=draft.id in fresh)
                if draft.id not in fresh:
                    with suppress(FileNotFoundError):
                        os.unlink(stage.target + _OLD)  # it would be older than this
            self._sync()
            self._kept += 1  # the last line: whatever is interrupted before it is dealt with below
        except BaseException:
            mark_staying([(draft, stage.published) for draft, stage in staged], fresh)
            for draft, stage in staged:
                if stage.published and draft.id in fresh and not draft.in_place:
                    with suppress(OSError):
                        os.unlink(stage.target)
                stage.discard()
            raise

    def _insert_as(self, draft: Draft) -> bool:
        if self._data([str(draft.id)]):
            return False
        self._put([(draft, self._payload(draft, back=True))], {str(draft.id)})
        return True

    def fill_columns(self, names: Iterable[str] | None = None, **options: Any) -> int:
        """Raise `NotSupportedError`: there is no place for columns."""
        raise self._unsupported("fill_columns")

    def _fill(self, values: Mapping[str, tuple[int, dict[str, Any]]], *, again: bool) -> dict[str, bool]:
        raise self._unsupported("fill_columns")

    def _delete(self, ids: Sequence[str]) -> None:
        try:
            with self._locked():
                for id_ in ids:
                    gone = False
                    for name in (self._file(id_), self._file(id_) + _OLD):
                        with suppress(FileNotFoundError):
                            os.unlink(name)
                            gone = True
                    if not gone:
                        raise not_found(id_)
            self._sync()
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._unavailable(error, "written") from error

    def _sync(self) -> None:
        if self.durable:
            sync_directory(self.path)

    def _locked(self) -> AbstractContextManager[None]:
        """Keep other processes that use this class from writing meanwhile.

        The directory itself is locked: a lock file in it GC3Pie would take for an object.
        """
        return locked(self.path, directory=True)

    def _unavailable(self, error: OSError, what: str) -> StoreError:
        return unavailable(self.path, error, what)


class _Index(DirectoryIndex):
    """The catalogue of such a directory."""

    def __init__(self, store: GC3PieDirectory) -> None:
        super().__init__(store.path, store._entry_of)
        self._store = store

    def _read_many(self, ids: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        templates = Templates()
        return ((id_, self._store._entry_of(id_, templates)) for id_ in ids)

    @staticmethod
    def _id_of(name: str) -> str | None:
        name = name.removesuffix(_OLD)
        return name if is_id(name) else None
