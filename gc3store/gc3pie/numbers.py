"""Numbers for new IDs, from the counter that GC3Pie takes its own from.

GC3Pie numbers all objects of a user one after the other, in all stores. The next
number is in a file, ``~/.gc3/next_id.txt`` or that which the environment variable
``GC3PIE_ID_FILE`` names, as eight hexadecimal digits; who changes it holds the lock that the
package ``lockfile`` makes of a hard link, ``next_id.txt.lock``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gc3store.errors import StoreUnavailableError
from gc3store.support.files import is_abandoned, locked, process_token

__all__ = ["next_numbers"]

#: How long to wait for another process that holds the lock, in seconds; as GC3Pie does.
PATIENCE = 30.0

_REMARK = " -- DO NOT REMOVE OR ALTER THIS FILE: it is used internally by the gc3libs\n"


def next_numbers(count: int, *, above: int = 0) -> list[int]:
    """Return numbers that GC3Pie has not given to any object of this user, and will not.

    Parameters
    ----------
    count : int
        How many.
    above : int
        The highest number in the store: others, with counters of their own, may have
        written to it.

    Raises
    ------
    StoreUnavailableError
        If the counter is locked for too long, damaged, or cannot be written.
    """
    path = os.environ.get("GC3PIE_ID_FILE") or os.path.expanduser("~/.gc3/next_id.txt")
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "a"):
            pass
        with _locked(path), open(path, "r+") as file:
            text = file.read(8)
            last = max(int(text or "0", 16), above)
            file.seek(0)
            file.write(f"{last + count:08x}{_REMARK}")
            file.flush()
            os.fsync(file.fileno())
    except ValueError as error:
        raise StoreUnavailableError(
            f"{path}, from which GC3Pie's IDs are numbered, does not begin with a number; "
            f"write there the highest that was ever given, in eight hexadecimal digits."
        ) from error
    except OSError as error:
        if isinstance(error, StoreUnavailableError):
            raise
        raise StoreUnavailableError(
            f"New IDs are numbered from {path}, which cannot be used: {error.strerror or error}; "
            f"GC3PIE_ID_FILE can name another file."
        ) from error
    return list(range(last + 1, last + count + 1))


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Hold the lock on a file that the package ``lockfile`` would take: a hard link."""
    lock = path + ".lock"
    directory, name = os.path.split(path)
    own = os.path.join(directory, f"{process_token()}-{name}")
    with open(own, "x"):
        pass
    try:
        begun = look = time.monotonic()
        while True:
            try:
                os.link(own, lock)
                break
            except FileExistsError:
                now = time.monotonic()
                if now - begun > PATIENCE:
                    raise StoreUnavailableError(
                        f"{path} has been locked for more than {PATIENCE:g} seconds; if no process uses it any more, "
                        f"delete {lock}."
                    ) from None
                if now >= look:
                    look = now + 0.5
                    _remove_abandoned(path, lock)
                time.sleep(0.02)
        try:
            yield
        finally:
            os.unlink(lock)
    finally:
        with suppress(OSError):
            os.unlink(own)


def _remove_abandoned(path: str, lock: str) -> None:
    """Remove the lock if it is that of a process of ours which was killed while it held it."""
    directory, name = os.path.split(path)
    # One process at a time: what was found abandoned must still be what is removed.
    with locked(path), suppress(FileNotFoundError):
        held = os.stat(lock)
        for other in os.listdir(directory or "."):
            file = os.path.join(directory, other)
            if other.endswith(f"-{name}") and os.path.samestat(os.stat(file), held) and is_abandoned(file):
                os.unlink(lock)
                os.unlink(file)
                return
