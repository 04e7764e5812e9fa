"""The head of an SQLite file, read without harm to whoever has the file open in this process.

A process that closes any descriptor of a file loses all its POSIX locks on it, those of other
descriptors included (https://www.sqlite.org/howtocorrupt.html, section 2.2). SQLite's own
connections see to that among themselves. What is opened here therefore stays open as long as
the process has any.
"""

from __future__ import annotations

import os
import stat
import threading

__all__ = ["is_sqlite_file", "uses_wal"]

#: Descriptors that stay open; beyond these, those of the files that were not asked about for longest do not.
_MOST = 100

_lock = threading.Lock()
_open: dict[tuple[object, int], int] = {}


def _unlock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # another thread may have held it
    os.register_at_fork(after_in_child=_unlock)


def is_sqlite_file(path: str) -> bool:
    """Whether there is an SQLite database at `path`."""
    return _head(path)[:16] == b"SQLite format 3\0"


def uses_wal(path: str) -> bool:
    """Whether there is an SQLite database at `path` that is in write-ahead mode."""
    return _head(path)[18:20] == b"\2\2"


def _head(path: str) -> bytes:
    try:
        if not hasattr(os, "pread"):  # Windows, where locks are not of that kind
            with open(path, "rb") as file:
                return file.read(20)
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return b""
        with _lock:
            key = status.st_dev, status.st_ino
            descriptor = _open.pop(key, None)
            if descriptor is None:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                status = os.fstat(descriptor)
                key = status.st_dev, status.st_ino
                if key in _open:  # another file was put there since it was looked at
                    _open[key, descriptor] = _open.pop(key)
            _open[key] = descriptor
            try:
                return os.pread(descriptor, 20, 0)
            finally:
                _close_what_can_be_closed()
    except OSError:
        return b""


def _close_what_can_be_closed() -> None:
    """Close files if this process has no locks that go with it; a disk with them could not be unmounted."""
    for key in list(_open) if not _has_locks() else list(_open)[:-_MOST]:
        os.close(_open.pop(key))


def _has_locks() -> bool:
    """Whether this process has locks on any files; also if that cannot be told, which Linux does."""
    try:
        pid = os.readlink("/proc/self")  # as this file system calls it
        with open("/proc/locks", encoding="ascii") as file:
            # 1: POSIX  ADVISORY  READ  4711 fe:00:3801107 1073741826 1073742335
            return any(pid in line.split()[4:6] for line in file)
    except OSError:
        return True
