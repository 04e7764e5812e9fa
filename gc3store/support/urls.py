"""URLs of places in the file system."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["file_url"]


def file_url(path: str) -> str:
    """Return the URL of an absolute path; also of one that is not valid UTF-8.

    >>> file_url("/tmp/my runs")
    'file:///tmp/my%20runs'
    """
    return "file://" + quote(path, errors="surrogateescape")
