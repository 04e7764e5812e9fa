"""A store's directory: the names of its files, making it, and what in it is not records."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import uuid as uuid_module
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import xxhash

from gc3store.errors import InvalidURLError, StoreError, StoreUnavailableError
from gc3store.format import Damaged
from gc3store.ids import number_of
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

__all__ = ["VERSION", "Layout", "id_of", "path_of"]

#: The version of the layout that is written.
VERSION = 1

#: What the names of record files end in.
SUFFIX = ".gc3"
_ID = re.compile(r"(?:[^\W\d]\w{0,49}\.)?(?:0|[1-9][0-9]{0,17})")
_PRIVATE = ".gc3store"
_READ = 32 * 1024
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
            # Without quoting what it names: that may be a password, given with the wrong scheme.
            raise InvalidURLError("This file: URL names a host; write file:///path, with three slashes.")
        text = unquote(parts.path, errors="surrogateescape")
    if not text or "\0" in text:
        raise InvalidURLError(f"{text!r:.60} is not a path to a directory; write file:///path.")
    return os.path.abspath(os.path.expanduser(text))


def id_of(name: str) -> str | None:
    """Return the ID of the record in a file of this name, `None` if there is no record in it.

    >>> id_of("Run.1.gc3"), id_of("notes.txt")
    ('Run.1', None)
    """
    if name.endswith(SUFFIX) and _ID.fullmatch(name, 0, len(name) - len(SUFFIX)):
        return name[: -len(SUFFIX)]
    return None


class Layout:
    """The files of a store's directory; for their names see `gc3store.filesystem`.

    Parameters
    ----------
    path : str
        The directory.
    durable : bool
        Whether what is written is on stable storage before it counts.

    Attributes
    ----------
    private : str
        The folder for all that is not records.
    uuid : str or None
        The store's UUID; `None` as long as there is no store, as far as is known.
    version : int
        The version of the layout that the store was written in.
    environments : set of str
        Digests of environments that are known to be there.
    """

    def __init__(self, path: str, *, durable: bool) -> None:
        self.path = path
        self.durable = durable
        self.private = os.path.join(path, _PRIVATE)
        self.uuid: str | None = None
        self.version = VERSION
        self.environments: set[str] = set()
        self._environment_texts: dict[str, str] = {}
        self._token = process_token()
        self._temporaries = 0

    def locate(self) -> None:
        """Look for the store, and learn its UUID and version.

        Raises
        ------
        StoreUnavailableError
            If the file that says so is damaged or cannot be read.
        """
        try:
            with open(os.path.join(self.private, "store.json"), encoding="utf-8") as file:
                about = json.load(file)
            self.version = int(about["version"])
            self.uuid = str(about["uuid"])
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise unavailable(self.path, error, "read") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailableError(
                f"{self.private}/store.json is damaged; put back the line with the store's uuid and version.",
            ) from error

    def create(self) -> None:
        """Make the directory a store, unless another process does so at the same moment."""
        with self.writing():
            make_directory(self.path, durable=self.durable)
            self.locate()
            if self.uuid is not None:
                return
            draft = os.path.join(self.path, f"{_PRIVATE}-{secrets.token_hex(8)}")
            os.mkdir(draft)
            for name in ("data", "environments", "locks", "tmp"):
                os.mkdir(os.path.join(draft, name))
            about = {"uuid": str(uuid_module.uuid4()), "version": VERSION}
            write_file(os.path.join(draft, "store.json"), [json.dumps(about).encode()])
            write_file(os.path.join(draft, "next-1"), [])
            write_file(os.path.join(draft, "no-references"), [])
            if self.durable:
                sync_file(os.path.join(draft, "store.json"))
                sync_directory(draft)
            try:
                os.rename(draft, self.private)  # fails if there is one with something in it
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                remove_tree(draft)
            if self.durable:
                sync_directory(self.path)
        self.locate()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn the errors of the system into those of the tree."""
        try:
            yield
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise unavailable(self.path, error, "written") from error

    def after_fork(self) -> None:
        """Give temporary files other names than those of the parent process."""
        self._token = process_token()

    # Names of files.

    def ids(self) -> Iterator[str]:
        """Yield the IDs that the names of files show; no file is opened."""
        try:
            names = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            id_ = id_of(name)
            if id_ is not None:
                yield id_

    def record_file(self, id_: str) -> str:
        """Return where the record with an ID is."""
        return f"{self.path}/{id_}{SUFFIX}"

    def temporary_file(self) -> str:
        """Return a name that is used for no other file."""
        self._temporaries += 1
        return f"{self.private}/tmp/{self._token}-{self._temporaries}"

    def lock_file(self, id_: str) -> str:
        """Return what to lock in order to change a record that exists."""
        return f"{self.private}/locks/{number_of(id_) % 64}"

    def payload_file(self, entry: Mapping[str, Any]) -> str:
        """Return where the payload of a record is; `Damaged` if its entry does not say."""
        name = str(entry.get("data", ""))
        if not name or "/" in name or name.startswith("."):
            raise Damaged("it does not name its payload")
        return os.path.join(self.private, "data", name)

    def payload_files(self, id_: str) -> list[str]:
        """Return the files that may be the payload of a record which is damaged and does not say so."""
        folder = os.path.join(self.private, "data")
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(f"{id_}-")]

    def read_file(self, path: str) -> bytes | None:
        """Return a file's content, `None` if there is no such file."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unavailable(self.path, error, "read") from error
        try:
            data = os.read(descriptor, _READ)
            if len(data) == _READ:
                pieces = [data]
                while data := os.read(descriptor, STEP):
                    pieces.append(data)
                data = b"".join(pieces)
            return data
        except OSError as error:
            raise unavailable(self.path, error, "read") from error
        finally:
            os.close(descriptor)

    # Whether any record refers to another.

    def has_references(self) -> bool:
        """Whether a record refers to another, or did once."""
        return not os.path.exists(f"{self.private}/no-references")

    def note_references(self) -> None:
        """Let all processes know that records may refer to each other, before there is one that does."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self.private}/no-references")
            if self.durable:
                sync_directory(self.private)

    # Environments and user columns.

    def add_environment(self, digest: str) -> None:
        """Keep the description of where this process runs, if it is not there yet."""
        path = os.path.join(self.private, "environments", digest)
        if not os.path.exists(path):
            self._publish(path, environment_text(digest).encode())
            if self.durable:
                sync_directory(os.path.dirname(path))
        self.environments.add(digest)

    def environment_text(self, digest: str | None) -> str | None:
        """Return the description that a record names, `None` if it is lost."""
        if not digest or not _DIGEST.fullmatch(digest):
            return None
        if digest not in self._environment_texts:
            data = self.read_file(os.path.join(self.private, "environments", digest))
            if data is None:
                return None
            self._environment_texts[digest] = data.decode("utf-8", "replace")
        return self._environment_texts[digest]

    def read_columns(self) -> dict[str, str | None]:
        """Return the paths of the user columns by name, `None` for those that a function fills."""
        found: dict[str, str | None] = {}
        folder = os.path.join(self.private, "columns")
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(folder)):
                data = self.read_file(os.path.join(folder, name))
                try:
                    about = json.loads(data or b"")
                    found[str(about["name"])] = None if about["path"] is None else str(about["path"])
                except (ValueError, KeyError, TypeError) as error:
                    raise StoreUnavailableError(
                        f"{folder}/{name} is damaged; remove it, and define the column again."
                    ) from error
        return found

    def add_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Keep the definitions of user columns."""
        folder = os.path.join(self.private, "columns")
        with self.writing():
            make_directory(folder, durable=self.durable)
            for name, path in definitions.items():
                # Not by its name, which a file system might take for another one in upper case.
                file = os.path.join(folder, xxhash.xxh3_64_hexdigest(name.encode()))
                self._publish(file, json.dumps({"name": name, "path": path}).encode())
            if self.durable:
                sync_directory(folder)

    def _publish(self, path: str, content: bytes) -> None:
        staged = write_file(self.temporary_file(), [content])
        if self.durable:
            sync_file(staged)
        os.rename(staged, path)
