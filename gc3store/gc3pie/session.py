"""A session directory of GC3Pie: where its store is, and which tasks it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from gc3store.errors import StoreUnavailableError
from gc3store.support.urls import file_url

__all__ = ["SessionDirectory", "is_session", "read_session"]

_URL, _INDEX, _CREATED, _FINISHED = "store.url", "session_ids.txt", "created", "finished"


@dataclass(frozen=True, slots=True)
class SessionDirectory:
    """What a session directory says.

    Attributes
    ----------
    path : str
        The directory.
    store_url : str
        Where the store is now; a store that is open tells it without any password.
    task_ids : tuple of str
        IDs of the tasks that the session runs; those may consist of others.
    created, finished : datetime or None
        When it was started, and when it ended; UTC.
    """

    path: str
    store_url: str
    task_ids: Sequence[str]
    created: datetime | None
    finished: datetime | None


def is_session(path: str) -> bool:
    """Whether a directory is one of a GC3Pie session."""
    return all(os.path.isfile(os.path.join(path, name)) for name in (_URL, _INDEX))


def read_session(path: str) -> SessionDirectory:
    """Return what the session directory at `path` says.

    A session that was moved, or copied to another computer, is found as long as its
    store moved with it.

    Raises
    ------
    StoreUnavailableError
        If it cannot be read, or its store is not there.
    """
    try:
        with open(os.path.join(path, _URL), encoding="utf-8") as file:
            url = file.read().strip()
        with open(os.path.join(path, _INDEX), encoding="utf-8") as file:
            ids = tuple(file.read().split())
    except (OSError, UnicodeError) as error:
        raise StoreUnavailableError(f"The session in {path} cannot be read: {error}.") from error
    return SessionDirectory(
        path,
        _current(path, url, ids),
        ids,
        _time(os.path.join(path, _CREATED)),
        _time(os.path.join(path, _FINISHED)),
    )


def _current(path: str, url: str, ids: Sequence[str]) -> str:
    """Return the URL of the store, at the place where it is now."""
    parts = urlsplit(url)
    if parts.scheme not in ("", "file", "sqlite"):
        return url
    # GC3Pie knows absolute paths only, whatever the number of slashes.
    place = "/" + unquote(parts.path if parts.scheme else url, errors="surrogateescape").lstrip("/")
    if not os.path.exists(place):
        beside = os.path.join(path, os.path.basename(place.rstrip("/")))
        if not os.path.exists(beside) and not ids:
            raise StoreUnavailableError(
                f"The session in {path} has no tasks yet, and its store {place} does not exist; "
                f"open it again when something was saved."
            )
        if not os.path.exists(beside):
            raise StoreUnavailableError(
                f"The session in {path} keeps its objects in {place}, which does not exist here; "
                f"copy that to {beside}."
            )
        place = beside
    if parts.scheme == "sqlite":
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        return f"sqlite:///{place}{fragment}"
    return file_url(place)


def _time(path: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
    except OSError:
        return None
