"""Locations of databases: which driver reaches them, and what may be shown of them."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from gc3store.errors import InvalidURLError
from gc3store.support.redaction import is_secret_name, spellings

__all__ = ["parse", "secrets_of", "shown", "sqlite_path", "without_secrets"]

#: What stands before ``://``, and the driver of SQLAlchemy that is used for it.
_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}

_FRAGMENT = re.compile(r"#table=(.*)\Z", re.DOTALL)


def parse(text: str) -> tuple[URL, str | None]:
    """Return the URL for SQLAlchemy, and the name in a fragment ``#table=NAME``.

    Raises
    ------
    InvalidURLError
        If it is not such a URL, or asks for a driver that is not the one used here. What
        is wrong in it is not quoted: it may be a part of a password.

    Examples
    --------
    >>> url, table = parse("mariadb://ann:secret@db.example.org/jobs#table=runs")
    >>> url.drivername, url.database, table
    ('mysql+pymysql', 'jobs', 'runs')
    """
    if re.search("[\ud800-\udfff]", text):
        raise InvalidURLError(
            "This URL of a database has bytes that are not UTF-8; rename the file, table or database that they name."
        )
    table = None
    if match := _FRAGMENT.search(text):
        text, table = text[: match.start()], unquote(match[1])
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidURLError(
            "This is not a database URL; write sqlite:///jobs.db or postgresql://user@host/database, "
            "with special characters in a password as %XX."
        ) from None
    if "@" in (url.host or ""):
        raise InvalidURLError(
            "This URL of a database has more than one '@'; write %40 for one in a password."
        )
    scheme, _, driver = url.drivername.lower().partition("+")
    wanted = _DRIVERS.get(scheme)
    if wanted is None:
        raise InvalidURLError(f"There is no store for databases of kind {scheme!r}; write one of {_kinds()}.")
    if driver not in ("", wanted.partition("+")[2]):
        raise InvalidURLError(
            f"The driver {driver!r} is not used here: write {scheme}:// alone, or {wanted}://."
        )
    if scheme != "sqlite" and "#" in text.rpartition("@")[2]:
        raise InvalidURLError(
            "After '#' a URL of a database has table=NAME and nothing else; write it like this."
        )
    return url.set(drivername=wanted), table


def _kinds() -> str:
    return ", ".join(f"{scheme}://" for scheme in _DRIVERS)


def without_secrets(url: URL) -> URL:
    """Return `url` without password and secret parameters.

    >>> without_secrets(parse("postgresql://ann:secret@db.example.org/jobs")[0]).render_as_string()
    'postgresql+psycopg://ann@db.example.org/jobs'
    """
    plain = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    return plain.difference_update_query(_secret_parameters(url))


def shown(url: URL, scheme: str | None = None) -> str:
    """Return what may be shown of a URL: all but its secrets.

    >>> shown(parse("postgresql://ann:secret@db.example.org/jobs")[0])
    'postgresql://ann:***@db.example.org/jobs'
    """
    hidden = url.difference_update_query(_secret_parameters(url))
    scheme = scheme or url.drivername.partition("+")[0]
    return hidden.set(drivername=scheme).render_as_string(hide_password=True)


def secrets_of(url: URL) -> tuple[str, ...]:
    """Return the strings that must not be shown, in all forms in which a driver may write them."""
    values = [url.password or ""]
    for name in _secret_parameters(url):
        value = url.query[name]
        values += [value] if isinstance(value, str) else list(value)
    return spellings(values)


def _secret_parameters(url: URL) -> list[str]:
    return [name for name in url.query if is_secret_name(name)]


def sqlite_path(url: URL) -> str:
    """Return the absolute path of an SQLite database."""
    if url.host or url.username:
        raise InvalidURLError(
            "An SQLite database is a file and on no host; write sqlite:///jobs.db, with three slashes."
        )
    if not url.database or url.database == ":memory:":
        raise InvalidURLError("A store needs a file: write sqlite:///jobs.db.")
    return os.path.abspath(os.path.expanduser(url.database))
