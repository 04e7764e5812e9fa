"""Records as files in a directory.

Layout of a store's directory
-----------------------------
``IsingRun.26.gc3``
    One record, see `gc3store.recordfile`. Files with other names are not ours.
``.gc3store/store.json``
    The store's UUID and the version of this layout.
``.gc3store/next-27``
    An empty file whose name says which number is the next to be given out.
``.gc3store/no-references``
    An empty file, as long as no record has ever referred to another.
``.gc3store/data/``
    Payloads of a megabyte or more, one file each, named in the record.
``.gc3store/environments/``
    Who wrote records, where and with what, see `gc3store.environment`.
``.gc3store/columns/``
    The user columns, one file each, see `gc3store.columns`.
``.gc3store/tmp/``, ``.gc3store/locks/``
    Files being written; locks for changing records that exist.

What is relied on
-----------------
`rename` is atomic, also on network file systems: a record appears, and is
replaced, by renaming a complete file. IDs are given out by renaming the
``next-N`` file to a higher number, which succeeds for one of any number of
processes on any number of hosts; there is no way back to a lower number. Two
processes that change the *same* record take turns by `flock`; where a network file
system has no locks, the last of two changes made at the same moment wins.
Durability is `fsync` of the file, then of the directory.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import secrets
import threading
import time
import uuid as uuid_module
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import xxhash

from gc3store import recordfile
from gc3store.catalogue import record_from_entry
from gc3store.columns import entry_of, merged
from gc3store.directory_index import DirectoryIndex
from gc3store.engine import RecordStore
from gc3store.environment import environment_text
from gc3store.errors import (
    ClosedStoreError,
    CorruptRecordError,
    InvalidURLError,
    OptionError,
    ReadOnlyError,
    SchemaVersionError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)
from gc3store.files import (
    Staged,
    is_abandoned,
    locked,
    make_directory,
    process_token,
    remove_tree,
    sync_directory,
    sync_file,
    sync_files,
    write_file,
)
from gc3store.ids import check_id, make_id, number_of
from gc3store.payload_file import PayloadFile, attached, pieces
from gc3store.primitives import Draft, Stored, check_revision, corrupt, not_found, reopened, replaced
from gc3store.record import Query, Record
from gc3store.recordfile import Damaged
from gc3store.serialization import STEP, Source
from gc3store.store import KEEP

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["FilesystemStore", "path_of"]

#: Payloads of this size or more are kept in a file of their own, in bytes, so that
#: changing a label never copies them.
DETACH = 1024 * 1024

_SUFFIX = ".gc3"
_PRIVATE = ".gc3store"
_VERSION = 1
_READ = 32 * 1024


def path_of(url: str | os.PathLike[str]) -> str:
    """Return the absolute path that a ``file:`` URL or a path means.

    >>> path_of("file:///tmp/my%20runs")
    '/tmp/my runs'
    """
    text = os.fspath(url)
    if text[:5].lower() == "file:":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise InvalidURLError(
                f"{text!r} names the host {parts.netloc!r}; write file:///path, with three slashes."
            )
        text = unquote(parts.path)
    if not text or "\0" in text:
        raise InvalidURLError(f"{os.fspath(url)!r} is no path to a directory.")
    return os.path.abspath(os.path.expanduser(text))


class FilesystemStore(RecordStore):
    """A store in a directory.

    Parameters
    ----------
    url : str or os.PathLike
        The directory, as a path or a ``file:`` URL; made by the first save.
    durable : bool
        Whether a save waits until the object is on stable storage. Without it an
        object still appears whole or not at all, also if the process is killed; only what was
        saved in the last seconds before a power cut may be gone, or be found damaged.
    read_only : bool
        Never write.
    columns : mapping of str to (str or callable), optional
        User columns, see `make_store`.

    Notes
    -----
    See the module for the layout and for what is relied on. Many threads, processes
    and hosts may use one directory at the same time.

    Examples
    --------
    >>> import tempfile
    >>> store = FilesystemStore(tempfile.mkdtemp())
    >>> store.save({"energy": -1.75}, name="ground state")
    'dict.1'
    >>> store.load("dict.1"), store.find("ground state")
    ({'energy': -1.75}, ['dict.1'])
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
        path = path_of(url)
        super().__init__(
            "file://" + quote(path), durable=durable, read_only=read_only, trust=trust, columns=columns
        )
        self.path = path
        self._private = os.path.join(path, _PRIVATE)
        self._tmp = os.path.join(self._private, "tmp")
        self._uuid: str | None = None
        self._next: int | None = None
        self._environments: set[str] = set()
        self._environment_texts: dict[str, str] = {}
        self._index = DirectoryIndex(path, self._entry_of)
        self._closed = False
        self._staged = 0
        self._mapping = threading.local()  # with the mode that this thread's load is to map in, if any
        self._token = process_token()
        if os.path.exists(path) and not os.path.isdir(path):
            raise StoreUnavailableError(
                f"{path} is a file, and neither a directory nor an SQLite database.", path=path
            )
        if os.path.isdir(path):
            self._read_identity()
        self._index.columns = self.columns

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (type(self), self.path, {**self._options(), "columns": self._user_columns.portable})

    def _reduce_for_payload(self) -> Any:
        return reopened, (type(self), self.path, self._options())

    def _options(self) -> dict[str, Any]:
        return {"durable": self.durable, "read_only": self.read_only, "trust": self.trust.option}

    # The store as a whole.

    @property
    def uuid(self) -> str | None:
        """The store's UUID; `None` as long as nothing was ever saved."""
        if self._uuid is None:
            self._read_identity()
        return self._uuid

    def _read_identity(self) -> None:
        try:
            with open(os.path.join(self._private, "store.json"), encoding="utf-8") as file:
                about = json.load(file)
            self._uuid = str(about["uuid"])
            version = int(about["version"])
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._unavailable(error, "read") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailableError(
                f"{self._private}/store.json is damaged; put back the line with the store's uuid and version.",
            ) from error
        if version > _VERSION:
            self.read_only = True
            self._newer = version
        self._read_columns()

    _newer: int | None = None

    def _check_writable(self) -> None:
        if self._closed:
            raise ClosedStoreError(f"{self!r} was closed; open it again with make_store.")
        if self._newer is not None:
            raise SchemaVersionError(
                f"{self.path} was written in version {self._newer} of the layout; upgrade gc3store to write to it."
            )
        super()._check_writable()

    def _begin(self) -> None:
        if self._uuid is None:
            self._create()
        if self._user_columns.has_pending:
            self._define_columns()

    def _create(self) -> None:
        """Make the directory a store, unless another process does so at the same moment."""
        try:
            make_directory(self.path, durable=self.durable)
            self._read_identity()
            if self._uuid is not None:
                return
            draft = os.path.join(self.path, f"{_PRIVATE}-{secrets.token_hex(8)}")
            os.mkdir(draft)
            for name in ("data", "environments", "locks", "tmp"):
                os.mkdir(os.path.join(draft, name))
            about = {"uuid": str(uuid_module.uuid4()), "version": _VERSION}
            write_file(os.path.join(draft, "store.json"), [json.dumps(about).encode()])
            write_file(os.path.join(draft, "next-1"), [])
            write_file(os.path.join(draft, "no-references"), [])
            if self.durable:
                sync_file(os.path.join(draft, "store.json"))
                sync_directory(draft)
            try:
                os.rename(draft, self._private)  # fails if there is one with something in it
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                remove_tree(draft)
            if self.durable:
                sync_directory(self.path)
        except OSError as error:
            raise self._unavailable(error, "written") from error
        self._read_identity()

    def close(self) -> None:
        """Give back files; a closed directory can still be read, not written."""
        with self._lock:
            self._closed = True
            self._index.close()

    def pre_fork(self) -> None:
        """Do nothing: no file stays open between calls."""

    def _forked(self) -> None:
        self._token = process_token()
        self._index.forget_connection()

    def _unavailable(self, error: OSError, what: str) -> StoreError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreFullError(
                f"There is no space left for {self.path}; what was stored is intact. Make room and try again."
            )
        if error.errno == errno.EROFS:
            return ReadOnlyError(f"{self.path} is on a file system that is mounted read-only.")
        if isinstance(error, PermissionError):
            return ReadOnlyError(f"{self.path} cannot be {what}: you lack the permission.")
        return StoreUnavailableError(f"{self.path} cannot be {what}: {error.strerror or error}.")

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._unavailable(error, "written") from error

    # Giving out numbers.

    def _allocate(self, count: int) -> int:
        """Return the first of `count` numbers that no one else was or will be given."""
        for _ in range(10_000):
            if self._next is None:
                self._next = self._find_next()
            first = max(self._next, self._floor)
            try:
                os.rename(f"{self._private}/next-{self._next}", f"{self._private}/next-{first + count}")
            except FileNotFoundError:
                self._next = None  # another process was faster
                continue
            self._next = first + count
            return first
        raise StoreUnavailableError(f"{self._private} is too busy to give out an ID; try again.")

    def _tidy(self) -> None:
        """Remove what processes left behind that were killed while they wrote."""
        abandoned = []
        with suppress(OSError), os.scandir(self._tmp) as files:
            abandoned = [file.path for file in files if is_abandoned(file.path)]
        if not abandoned:
            return
        for path in abandoned:
            with suppress(OSError):
                os.unlink(path)
        # A payload of one of them may have reached its place without its record.
        with suppress(OSError), os.scandir(os.path.join(self._private, "data")) as files:
            for file in files:
                id_ = file.name.rpartition("-")[0]
                head = self._head(id_)
                used = head is not None and head.entry().get("data") == file.name
                if not used and time.time() - file.stat().st_mtime > 3600:
                    os.unlink(file.path)

    _floor = 0

    def _find_next(self) -> int:
        if not self._floor:
            self._tidy()
            # After a power cut the newest renames may be missing in one directory and not
            # in the other: never go below what exists.
            numbers = [number_of(id_) for id_ in self._index.ids_in_directory()]
            self._floor = max(numbers, default=0) + 1
        for _ in range(1000):
            for name in os.listdir(self._private):
                if name.startswith("next-"):
                    return int(name[5:])
        raise StoreUnavailableError(
            f"{self._private} has lost its file next-N; create it, with a number above all that were ever given out."
        )

    # Reading.

    def _file(self, id_: str) -> str:
        return f"{self.path}/{id_}{_SUFFIX}"

    def _fetch(self, id_: str) -> Stored:
        stored = self._read_one(id_)
        if stored is None:
            raise not_found(id_)
        return stored

    def _read(self, ids: Sequence[str]) -> Iterator[Stored]:
        for id_ in ids:
            stored = self._read_one(id_)
            if stored is not None:
                yield stored

    def _read_one(self, id_: str) -> Stored | None:
        data = self._read_file(self._file(id_))
        if data is None:
            return None
        try:
            head = recordfile.unpack_head(data)
            references: tuple[str, ...] = ()
            entry: dict[str, Any] = {}
            if head.n_references or head.n_buffers or head.flags & recordfile.DETACHED:
                entry = head.entry()
                references = tuple(check_id(r) for r in entry.get("references", ()))
                if len(references) != head.n_references:
                    raise Damaged("its references are incomplete")
            plain = head.flags & recordfile.PLAIN != 0
            if head.flags & recordfile.DETACHED:
                payload = PayloadFile(self._data_file(entry), id_, head, entry.get("buffers", ()))
                revision = head.revision
                return Stored(
                    id_,
                    revision,
                    references,
                    None,
                    b"",
                    opener=lambda: self._open_payload(payload, revision),
                )
            sizes = entry.get("buffers")
            stop = head.end + (
                recordfile.payload_size(head.stream_size, sizes) if sizes else head.stream_size
            )
            if len(data) != stop:
                raise Damaged(f"it is {len(data)} bytes long and should be {stop}")
        except Damaged as error:
            raise corrupt(id_, str(error)) from error
        view = memoryview(data)[head.end :]
        if not sizes:
            return Stored(id_, head.revision, references, head.checksum, view, plain=plain)

        def open_() -> Source:
            places = zip(recordfile.offsets(head.stream_size, sizes), sizes, strict=True)
            buffers = [bytearray(view[start : start + size]) for start, size in places]
            return Source(view[: head.stream_size], buffers, plain=plain)

        return Stored(id_, head.revision, references, head.checksum, view, opener=open_)

    def _open_payload(self, payload: PayloadFile, revision: int) -> Source:
        try:
            return payload.open(getattr(self._mapping, "mode", None))
        except CorruptRecordError as error:
            # Whoever replaces a record removes the payload that it had.
            if self._revisions([payload.id]).get(payload.id) == revision:
                raise
            raise replaced(payload.id) from error
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._unavailable(error, "read") from error

    def _read_file(self, path: str) -> bytes | None:
        """Return a file's content, `None` if there is none."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unavailable(error, "read") from error
        try:
            data = os.read(descriptor, _READ)
            if len(data) == _READ:
                pieces = [data]
                while data := os.read(descriptor, STEP):
                    pieces.append(data)
                data = b"".join(pieces)
            return data
        except OSError as error:
            raise self._unavailable(error, "read") from error
        finally:
            os.close(descriptor)

    def load(
        self,
        id_: str,
        *,
        fresh: bool = False,
        missing: str = "error",
        mapped: Literal["r", "c"] | None = None,
    ) -> Any:
        """Return the object with ID `id_`; see `RecordStore.load`.

        Parameters
        ----------
        id_ : str
            The ID.
        fresh : bool
            Return an independent copy of what is stored.
        missing : {"error", "placeholder"}
            What to do where a class cannot be found.
        mapped : {"r", "c"}, optional
            Map large arrays into memory instead of reading them: read-only, or
            copy-on-write (changes stay in memory). Takes no time, whatever their size; of
            the bytes only header and length are checked, `verify` checks the rest. The
            object is an independent copy then.
        """
        if mapped is None:
            return super().load(id_, fresh=fresh, missing=missing)
        if mapped not in ("r", "c"):
            raise OptionError(f"mapped is 'r' (read-only) or 'c' (copy-on-write), not {mapped!r}.")
        id_ = check_id(id_)
        with self._lock:
            self._mapping.mode = mapped
            try:
                return super().load(id_, fresh=True, missing=missing)
            finally:
                self._mapping.mode = None

    def _closure(
        self, roots: Sequence[str], *, whole: bool = False
    ) -> tuple[dict[str, int], dict[str, tuple[str, ...]], dict[str, Stored]]:
        # Not one state of the whole directory, but each record is read just once.
        records: dict[str, Stored] = {}
        graph: dict[str, tuple[str, ...]] = {}
        queue = builtins.list(dict.fromkeys(roots))
        for id_ in queue:
            if id_ not in records and (stored := self._read_one(id_)) is not None:
                records[id_] = stored
                graph[id_] = stored.references or ()
                queue.extend(r for r in graph[id_] if r not in records)
        return {id_: stored.revision for id_, stored in records.items()}, graph, records

    def _revisions(self, ids: Sequence[str]) -> dict[str, int]:
        found = {}
        for id_ in ids:
            head = self._head(id_)
            if head is not None:
                found[id_] = head.revision
        return found

    def _head(self, id_: str, *, forgiving: bool = True) -> recordfile.Head | None:
        """Return the head of a record; for a damaged one, one that can be replaced or removed."""
        data = self._read_file(self._file(id_))
        if data is None:
            return None
        try:
            return recordfile.unpack_head(data)
        except Damaged as error:
            if not forgiving:
                raise corrupt(id_, str(error)) from error
            entry = json.dumps({"id": id_, "error": f"damaged: {error}"}).encode()
            return recordfile.Head(0, 0, 0, 0, 0, b"", entry, 0)

    # Writing.

    def _write(self, drafts: builtins.list[Draft]) -> None:
        fresh = [draft for draft in drafts if draft.id is None]
        new = set(map(id, fresh))
        published: builtins.list[Draft] = []
        try:
            for draft in drafts:
                self._ensure_environment(draft.fields["environment"])
            if not self._referring and any(draft.references for draft in drafts):
                self._note_references()
            if fresh:
                first = self._allocate(len(fresh))
                for number, draft in enumerate(fresh, first):
                    draft.id = make_id(draft.prefix, number)
            self._write_batch(drafts, [draft for draft in drafts if id(draft) not in new], published)
        except BaseException as error:
            # A record that was replaced cannot be put back, and may refer to new ones: then
            # what has its place keeps it.
            kept = published if any(id(draft) not in new for draft in published) else []
            staying = set(map(id, kept))
            self._take_back([draft for draft in fresh if id(draft) not in staying])
            self._settle_unconfirmed(kept, new)
            if isinstance(error, OSError) and not isinstance(error, StoreError):
                raise self._unavailable(error, "written") from error
            raise

    def _settle_unconfirmed(self, drafts: builtins.list[Draft], new: set[int]) -> None:
        """Tell objects which records they are; as long as it is not certain that these stay, they count as changed."""
        for draft in drafts:
            references = draft.reference_ids()
            if draft.identity is not None:
                self._identities.advance(draft.identity, draft.revision, None, references)
            elif id(draft) in new:
                self._identities.bind(
                    draft.obj, str(self.uuid), str(draft.id), draft.revision, None, references
                )

    def _write_batch(
        self,
        drafts: builtins.list[Draft],
        existing: builtins.list[Draft],
        published: builtins.list[Draft],
    ) -> None:
        """Write records; `published` is filled with those that have taken their places."""
        before: dict[str, recordfile.Head] = {}
        with ExitStack() as stack:
            for lock in sorted({self._lock_of(str(d.id)) for d in existing}):
                stack.enter_context(locked(lock))
            for draft in existing:
                head = self._head(str(draft.id))
                check_revision(str(draft.id), draft.expected, None if head is None else head.revision)
                assert head is not None
                before[str(draft.id)] = head
                draft.revision = head.revision + 1
            staged: builtins.list[Staged] = []
            # What is referred to comes first: whoever sees a record can follow it.
            ordered = _referenced_first(drafts)
            try:
                for draft in ordered:
                    staged.append(self._stage(draft, before.get(str(draft.id))))  # noqa: PERF401
                self._publish(staged)
            except BaseException:
                published += [draft for draft, stage in zip(ordered, staged, strict=False) if stage.published]
                for stage in staged:
                    stage.discard()
                raise
            for head in before.values():
                self._discard_data(head)

    def _insert_as(self, draft: Draft) -> bool:
        id_ = str(draft.id)
        if self._next is None:
            self._next = self._find_next()
        if number_of(id_) >= max(self._next, self._floor):
            self._next = self._find_next()  # others may have gone on
            if number_of(id_) >= max(self._next, self._floor):
                return False
        if draft.references:
            self._note_references()
        with locked(self._lock_of(id_)):
            if any(number_of(other) == number_of(id_) for other in self._index.ids_in_directory()):
                return False
            try:
                stage = self._stage(draft, None)
                try:
                    self._publish([stage])
                except BaseException:
                    stage.discard()
                    raise
            except OSError as error:
                raise self._unavailable(error, "written") from error
        return True

    def _publish(self, staged: Sequence[Staged]) -> None:
        """Let complete records take their places, in this order."""
        large = [stage for stage in staged if stage.data is not None]
        if self.durable:
            files = [stage.head for stage in staged] + [str(stage.data) for stage in large]
            sync_files(files)
        for stage in large:
            os.rename(str(stage.data), stage.data_target)
        if large and self.durable:
            sync_directory(os.path.join(self._private, "data"))
        for stage in staged:
            os.rename(stage.head, stage.target)
            stage.published = True
        if self.durable:
            sync_directory(self.path)

    def _take_back(self, drafts: Sequence[Draft]) -> None:
        """Undo what was written of a batch that failed; the numbers are not given again."""
        for draft in drafts:
            if draft.id is None:
                continue
            head = None
            with suppress(StoreError):
                head = self._head(draft.id)
            with suppress(OSError):
                os.unlink(self._file(draft.id))
            if head is not None:
                self._discard_data(head)
            draft.id = None

    def _stage(self, draft: Draft, before: recordfile.Head | None) -> Staged:
        """Write a complete record under temporary names."""
        encoded = draft.encoded
        fields = draft.fields
        now = fields["now"]
        entry: dict[str, Any] = {
            "id": draft.id,
            "cls": fields["cls"],
            "size": fields["size"],
            "created": fields.get("created", now),
            "modified": now,
        }
        if fields["environment"]:
            entry["environment"] = fields["environment"]
        for name in ("state", "preview", "origin"):
            if fields[name] is not None:
                entry[name] = fields[name]
        if fields["explicit"]:
            entry["explicit"] = True
        old: Mapping[str, Any] = {}
        if before is not None:
            old = before.entry()
            entry["created"] = old.get("created", now)
            if old.get("explicit"):
                entry["explicit"] = True
        for name in ("name", "tags"):
            value = old.get(name) if fields[name] is KEEP else fields[name]
            if value:
                entry[name] = value
        if values := entry_of(self._user_columns.known(fields.get("columns"))):
            entry["columns"] = values
        references = draft.reference_ids()
        if references:
            entry["references"] = references
        sizes = [view.nbytes for view in encoded.buffers]
        if sizes:
            entry["buffers"] = sizes
        flags = recordfile.PLAIN if fields["plain"] else 0
        payload: builtins.list[Any] = []
        stage = Staged(self._file(str(draft.id)))
        if encoded.size >= DETACH or not isinstance(encoded.stream, bytes):
            flags |= recordfile.DETACHED
            entry["data"] = name = f"{draft.id}-{secrets.token_hex(6)}"
            stage.data_target = os.path.join(self._private, "data", name)
            stage.data = write_file(self._temporary(), pieces(encoded))
        else:
            payload = attached(encoded)
        head = recordfile.pack_head(
            entry,
            flags=flags,
            revision=draft.revision,
            stream_size=encoded.stream_size,
            n_references=len(references),
            n_buffers=len(sizes),
            checksum=encoded.checksum,
        )
        try:
            stage.head = write_file(self._temporary(), [head, *payload])
        except BaseException:
            stage.discard()
            raise
        return stage

    def _temporary(self) -> str:
        self._staged += 1
        return f"{self._tmp}/{self._token}-{self._staged}"

    def _delete(self, ids: Sequence[str]) -> None:
        try:
            if self.durable:
                # The numbers must not come again: that they were given out has to be
                # on stable storage before what shows it is gone.
                sync_directory(self._private)
            for id_ in ids:
                with locked(self._lock_of(id_)):
                    head = self._head(id_)
                    if head is None:
                        raise not_found(id_)
                    os.unlink(self._file(id_))
                    self._discard_data(head)
            if self.durable:
                sync_directory(self.path)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._unavailable(error, "written") from error

    def _discard_data(self, head: recordfile.Head) -> None:
        if head.flags & recordfile.DETACHED:
            with suppress(OSError, Damaged):
                os.unlink(self._data_file(head.entry()))

    def _data_file(self, entry: Mapping[str, Any]) -> str:
        name = str(entry.get("data", ""))
        if not name or "/" in name or name.startswith("."):
            raise Damaged("it does not name its payload")
        return os.path.join(self._private, "data", name)

    def _relabel(self, id_: str, changes: Mapping[str, Any]) -> bool:
        with self._written(), locked(self._lock_of(id_)):
            data = self._read_file(self._file(id_))
            if data is None:
                return False
            try:
                head = recordfile.unpack_head(data)
                entry = head.entry()
            except Damaged as error:
                raise corrupt(id_, str(error)) from error
            new = {**entry, **changes}
            new = {k: v for k, v in new.items() if v not in (None, (), [], False)}
            if new == entry:
                return True
            stage = self._restage(id_, new, head, data)
            try:
                self._publish([stage])
            except BaseException:
                stage.discard()
                raise
        return True

    def _restage(self, id_: str, entry: Mapping[str, Any], head: recordfile.Head, data: bytes) -> Staged:
        """Write a record under a temporary name whose catalogue entry alone is another one."""
        packed = recordfile.pack_head(
            entry,
            flags=head.flags,
            revision=head.revision,
            stream_size=head.stream_size,
            n_references=head.n_references,
            n_buffers=head.n_buffers,
            checksum=head.checksum,
        )
        stage = Staged(self._file(id_))
        stage.head = write_file(self._temporary(), [packed, data[head.end :]])
        return stage

    def _lock_of(self, id_: str) -> str:
        return f"{self._private}/locks/{number_of(id_) % 64}"

    # Environments.

    def _ensure_environment(self, digest: str | None) -> None:
        if digest is None or digest in self._environments:
            return
        path = os.path.join(self._private, "environments", digest)
        if not os.path.exists(path):
            text = environment_text(digest)
            staged = write_file(self._temporary(), [text.encode()])
            if self.durable:
                sync_file(staged)
            os.rename(staged, path)
            if self.durable:
                sync_directory(os.path.dirname(path))
        self._environments.add(digest)

    def _environment_text(self, digest: str | None) -> str | None:
        if not digest or not digest.isalnum():
            return None
        if digest not in self._environment_texts:
            data = self._read_file(os.path.join(self._private, "environments", digest))
            if data is None:
                return None
            self._environment_texts[digest] = data.decode("utf-8", "replace")
        return self._environment_texts[digest]

    # User columns.

    def _read_columns(self) -> None:
        stored = {}
        folder = os.path.join(self._private, "columns")
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(folder)):
                data = self._read_file(os.path.join(folder, name))
                try:
                    about = json.loads(data or b"")
                    stored[str(about["name"])] = None if about["path"] is None else str(about["path"])
                except (ValueError, KeyError, TypeError) as error:
                    raise StoreUnavailableError(
                        f"{folder}/{name} is damaged; remove it, and define the column again."
                    ) from error
        self._learn_columns(stored)
        self._index.columns = self.columns

    def _adopt_columns(self, definitions: Mapping[str, str | None]) -> None:
        super()._adopt_columns(definitions)
        self._index.close()
        self._index.columns = self.columns

    def _define_columns(self) -> None:
        folder = os.path.join(self._private, "columns")
        with self._written():
            os.makedirs(folder, exist_ok=True)
            for name, path in self._user_columns.pending().items():
                staged = write_file(self._temporary(), [json.dumps({"name": name, "path": path}).encode()])
                if self.durable:
                    sync_file(staged)
                # Not by its name, which a file system might take for another one in upper case.
                os.rename(staged, os.path.join(folder, xxhash.xxh3_64_hexdigest(name.encode())))
            if self.durable:
                sync_directory(folder)
        self._user_columns.defined()

    def _fill(self, values: Mapping[str, tuple[int, dict[str, Any]]], *, again: bool) -> dict[str, bool]:
        filled: dict[str, bool] = {}
        staged: builtins.list[Staged] = []
        with self._written(), ExitStack() as stack:
            for lock in sorted({self._lock_of(id_) for id_ in values}):
                stack.enter_context(locked(lock))
            try:
                for id_, (revision, new) in values.items():
                    data = self._read_file(self._file(id_))
                    if data is None or (head := recordfile.unpack_head(data)).revision != revision:
                        continue
                    entry = head.entry()
                    old = entry.get("columns") or {}
                    columns = entry_of(merged(old, new, again=again))
                    filled[id_] = columns != old
                    if filled[id_]:
                        staged.append(self._restage(id_, {**entry, "columns": columns}, head, data))
                self._publish(staged)
            except BaseException as error:
                for stage in staged:
                    stage.discard()
                if isinstance(error, Damaged):
                    raise corrupt(id_, str(error)) from error
                raise
        return filled

    # The catalogue.

    def _entry_of(self, id_: str) -> dict[str, Any] | None:
        """Return the catalogue entry of a record, damaged or not; `None` if it is gone."""
        entry: dict[str, Any] = {}
        try:
            data = self._read_file(self._file(id_))
            if data is None:
                return None
            head = recordfile.unpack_head(data)
            entry = head.entry()
            stop = head.end
            if not head.flags & recordfile.DETACHED:
                stop += recordfile.payload_size(head.stream_size, entry.get("buffers", ()))
            if len(data) != stop:
                entry["error"] = f"damaged: it is {len(data)} bytes long and should be {stop}"
        except StoreError as error:
            return {"id": id_, "error": str(error)}
        except Damaged as error:
            return {**entry, "id": id_, "error": f"damaged: {error}"}
        entry["id"] = id_
        entry["revision"] = head.revision
        if head.checksum:
            entry["checksum"] = head.checksum.hex()
        return entry

    def _describe(self, id_: str) -> Record | None:
        entry = self._entry_of(id_)
        if entry is None:
            return None
        environment = self._environment_text(entry.get("environment"))
        try:
            return record_from_entry(entry, environment=environment, columns=self.columns)
        except (TypeError, ValueError, KeyError) as error:
            return Record(id=id_, error=f"damaged: {error}")

    def _state(self) -> str | None:
        return self._index.state()

    def _columns(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        found = self._index.fields(names) if query == Query() else None
        return super()._columns(query, names) if found is None else found

    def _catalogue(self, query: Query) -> Iterator[Record]:
        return query.apply(self._index.records())

    def _ids(self, query: Query) -> builtins.list[str]:
        if query == Query():
            return self._index.ids()
        return super()._ids(query)

    def count(self, query: Query | None = None) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        if query is None or (not query.conditions and not query.words):
            return len(self._index.ids())
        return super().count(query)

    _referring = False  # whether it is certain that some record refers to another, or did

    def _note_references(self) -> None:
        """Let everybody know that records may refer to each other, before one is there that does."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._private}/no-references")
            if self.durable:
                sync_directory(self._private)
        self._referring = True

    def _referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        if not self._referring:
            if os.path.exists(f"{self._private}/no-references"):
                return {}
            self._referring = True
        found: dict[str, builtins.list[str]] = {}
        wanted = set(ids)
        for id_, references in self._index.references():
            for reference in references:
                if reference in wanted:
                    found.setdefault(reference, []).append(id_)
        return found

    def _by_origin(self) -> tuple[builtins.list[str], builtins.list[str]]:
        return self._index.by_origin()


def _referenced_first(drafts: builtins.list[Draft]) -> builtins.list[Draft]:
    from gc3store.graph import components

    if len(drafts) == 1 or not any(draft.references for draft in drafts):
        return drafts
    by_id = {str(draft.id): draft for draft in drafts}
    graph = {id_: draft.reference_ids() for id_, draft in by_id.items()}
    return [by_id[id_] for component in components(graph, by_id) for id_ in component]
