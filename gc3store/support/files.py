"""Files that appear whole or not at all, and stay."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import xxhash

from gc3store.errors import ReadOnlyError, StoreError, StoreFullError, StoreUnavailableError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Staged",
    "is_abandoned",
    "locked",
    "make_directory",
    "process_token",
    "remove_tree",
    "sync_directory",
    "sync_file",
    "sync_files",
    "unavailable",
    "write_file",
]


def unavailable(path: str, error: OSError, what: str) -> StoreError:
    """Return the error of the tree for a directory in which something cannot be `what`, "read" or "written"."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFullError(
            f"There is no space left for {path}; what was stored is intact. Make room and try again."
        )
    if error.errno == errno.EROFS:
        return ReadOnlyError(
            f"{path} is on a file system that is mounted read-only; open a copy of it elsewhere."
        )
    if isinstance(error, PermissionError):
        return ReadOnlyError(
            f"{path} cannot be {what}: you lack the permission; its owner can give it to you."
        )
    return StoreUnavailableError(f"{path} cannot be {what}: {error.strerror or error}.")


def write_file(path: str, pieces: Any) -> str:
    """Write a new file from pieces of bytes, and return its path; delete it if that fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # the folder was deleted by hand
        descriptor = os.open(path, flags, 0o666)
    try:
        try:
            if isinstance(pieces, list):
                pieces = (b"".join(pieces),)
            for piece in pieces:
                written = os.write(descriptor, piece)
                while written < len(piece):
                    piece = memoryview(piece)[written:]
                    written = os.write(descriptor, piece)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
    return path


class Staged:
    """A record that is complete, under temporary names."""

    __slots__ = ("data", "data_target", "head", "published", "target")

    def __init__(self, target: str) -> None:
        self.target = target
        self.head = ""
        self.data: str | None = None
        self.data_target = ""
        self.published = False

    def publish(self, *, new: bool = False) -> None:
        """Let it take its place; if it is `new`, never that of another file."""
        try:
            if new:
                _rename_new(self.head, self.target)
            else:
                os.rename(self.head, self.target)
            self.published = True
        except BaseException:
            self.published = _has_place(self.head, self.target)  # interrupted right behind it
            raise

    def discard(self) -> None:
        """Remove its files, unless it has taken its place."""
        if self.published:
            return
        for path in (self.head, self.data, self.data_target):
            if path:
                with suppress(OSError):
                    os.unlink(path)


def _rename_new(path: str, target: str) -> None:
    try:
        os.link(path, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        if os.path.exists(target):  # a file system without hard links
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(path, target)
    else:
        os.unlink(path)


def _has_place(path: str, target: str) -> bool:
    """Whether a file has got its name: then it has lost the temporary one, or has both."""
    try:
        return os.path.samefile(path, target)
    except FileNotFoundError:
        return not os.path.lexists(path)
    except OSError:
        return False


def process_token() -> str:
    """Return the beginning of the names of this process's temporary files."""
    return f"{_where()}-{os.getpid()}-{secrets.token_hex(6)}"


def _where() -> str:
    """Return a name for where process IDs are what they are: a host, or a container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        space = ""
    return xxhash.xxh3_64_hexdigest(f"{socket.gethostname()} {space}".encode())


def is_abandoned(path: str) -> bool:
    """Whether a temporary file was left behind by a process that has ended.

    One of another host or container is given a week: whether its process lives cannot be told from here.
    """
    host, _, rest = os.path.basename(path).partition("-")
    if host == _where():
        try:
            os.kill(int(rest.partition("-")[0]), 0)
        except ProcessLookupError:
            return True
        except (OSError, ValueError):
            return False
        return False
    return time.time() - os.stat(path).st_mtime > 7 * 86400


def sync_file(path: str) -> None:
    """Bring the content of a file to stable storage."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(paths: Sequence[str]) -> None:
    """Bring the contents of files to stable storage."""
    if len(paths) < 4:
        for path in paths:
            sync_file(path)
    else:
        # File systems commit what is asked for at the same time together.
        with ThreadPoolExecutor(16) as pool:
            deque(pool.map(sync_file, paths), maxlen=0)


def sync_directory(path: str) -> None:
    """Bring the names in a directory to stable storage."""
    if os.name != "posix":
        return  # directories cannot be synchronized
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: str, *, durable: bool) -> None:
    """Make a directory, and those above it that are missing; `durable` also if it was just made by others."""
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        make_directory(above, durable=durable)
    with suppress(FileExistsError):
        os.mkdir(path)
    if durable:
        with suppress(PermissionError):  # a directory may be writable and not readable
            sync_directory(above)


def remove_tree(path: str) -> None:
    """Remove a directory of ours and all in it."""
    for root, directories, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(root, name))
        for name in directories:
            os.rmdir(os.path.join(root, name))
    os.rmdir(path)


@contextmanager
def locked(path: str, *, directory: bool = False) -> Iterator[None]:
    """Hold the lock on a file or `directory`; other processes and threads that lock it wait."""
    if fcntl is None:
        yield
        return
    flags = os.O_RDONLY if directory else os.O_WRONLY | os.O_APPEND | os.O_CREAT
    # An interrupt may come at any line, also in the clean-up: then the outer block still closes the file.
    with ExitStack() as stack:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        stack.callback(os.close, descriptor)
        try:
            _lock(descriptor)
            yield
        finally:
            # Explicitly: a child forked meanwhile holds the same lock, and
            # closing would not release it.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF):
            raise
