"""A store's directory: making it, opening it, and what in it is not records."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import threading
import uuid as uuid_module
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import xxhash

from gc3store import format as record_format
from gc3store.engine.record_store import RecordStore
from gc3store.errors import (
    ClosedStoreError,
    InvalidURLError,
    SchemaVersionError,
    StoreError,
    StoreUnavailableError,
)
from gc3store.filesystem.catalogue import DirectoryIndex
from gc3store.format import Damaged
from gc3store.ids import number_of
from gc3store.persistable import reduced_store
from gc3store.pickling import STEP
from gc3store.support.files import (
    make_directory,
    process_token,
    remove_tree,
    sync_directory,
    sync_file,
    unavailable,
    write_file,
)
from gc3store.support.provenance import environment_text
from gc3store.support.urls import file_url

__all__ = ["Directory", "path_of"]

_PRIVATE = ".gc3store"
_VERSION = 1
_READ = 32 * 1024
_SUFFIX = ".gc3"
_DIGEST = re.compile("[0-9a-z]{1,64}")


def path_of(url: str | os.PathLike[str]) -> str:
    """Return the absolute path that a ``file:`` URL or a path means.

    >>> path_of("file:///tmp/my%20runs")
    '/tmp/my runs'
    """
    text = os.fspath(url)
    if text[:5].lower() == "file:":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            # Without quoting what it names: somebody may have taken the wrong scheme, and a password.
            raise InvalidURLError("This file: URL names a host; write file:///path, with three slashes.")
        text = unquote(parts.path, errors="surrogateescape")
    if not text or "\0" in text:
        raise InvalidURLError(f"{text!r:.60} is no path to a directory; write file:///path.")
    return os.path.abspath(os.path.expanduser(text))


class Directory(RecordStore):
    """The place of a store, for the parameters see `FilesystemStore`."""

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
        super().__init__(file_url(path), durable=durable, read_only=read_only, trust=trust, columns=columns)
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
        return reduced_store(self, self.path, {**self._options(), "columns": self._user_columns.portable})

    def _reduce_for_payload(self) -> Any:
        return reduced_store(self, self.path, self._options())

    def _options(self) -> dict[str, Any]:
        return {"durable": self.durable, "read_only": self.read_only, "trust": self.trust.option}

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
        return unavailable(self.path, error, what)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._unavailable(error, "written") from error

    def _file(self, id_: str) -> str:
        return f"{self.path}/{id_}{_SUFFIX}"

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

    def _temporary(self) -> str:
        self._staged += 1
        return f"{self._tmp}/{self._token}-{self._staged}"

    def _lock_of(self, id_: str) -> str:
        return f"{self._private}/locks/{number_of(id_) % 64}"

    def _data_file(self, entry: Mapping[str, Any]) -> str:
        name = str(entry.get("data", ""))
        if not name or "/" in name or name.startswith("."):
            raise Damaged("it does not name its payload")
        return os.path.join(self._private, "data", name)

    def _data_files(self, id_: str) -> list[str]:
        """Return the files that may be the payload of a record which does not say so any more."""
        folder = os.path.join(self._private, "data")
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(f"{id_}-")]

    def _entry_of(self, id_: str) -> dict[str, Any] | None:
        """Return the catalogue entry of a record, damaged or not; `None` if it is gone."""
        entry: dict[str, Any] = {}
        try:
            data = self._read_file(self._file(id_))
            if data is None:
                return None
            head = record_format.unpack_head(data)
            entry = head.entry()
            stop = head.end
            if not head.flags & record_format.DETACHED:
                stop += record_format.payload_size(head.stream_size, entry.get("buffers", ()))
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

    # Environments and user columns.

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
        if not digest or not _DIGEST.fullmatch(digest):
            return None
        if digest not in self._environment_texts:
            data = self._read_file(os.path.join(self._private, "environments", digest))
            if data is None:
                return None
            self._environment_texts[digest] = data.decode("utf-8", "replace")
        return self._environment_texts[digest]

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
            make_directory(folder, durable=self.durable)
            for name, path in self._user_columns.pending().items():
                staged = write_file(self._temporary(), [json.dumps({"name": name, "path": path}).encode()])
                if self.durable:
                    sync_file(staged)
                # Not by its name, which a file system might take for another one in upper case.
                os.rename(staged, os.path.join(folder, xxhash.xxh3_64_hexdigest(name.encode())))
            if self.durable:
                sync_directory(folder)
        self._user_columns.defined()
