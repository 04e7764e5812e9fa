"""Hiding passwords: the only place that decides what of a URL or a string is a secret.

People write URLs by hand, and do not always encode the special characters of a password. So
where the end of a secret is uncertain, more is hidden, never less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus, unquote, unquote_plus

__all__ = ["HIDDEN", "is_secret_name", "passwords", "redact", "spellings"]

#: What stands where a password was.
HIDDEN: Final = "***"

#: Part of a name that says that its value is a secret: ``sslpassword``, ``DB_TOKEN``.
_WORD: Final = r"(?:pass(?:word|wd|phrase|file)?|pwd|secret|token|api_?key|access_?key|credentials?)"
_SECRET_NAME: Final = re.compile(_WORD, re.IGNORECASE)

# A name and a quoted string: password="...", "api_key": '...', environ["DB_PASSWORD"] = "...".
_QUOTED: Final = re.compile(
    _WORD + r"\w{0,40}[\"']?\]?\s*(?::\s*\w+\s*)?[=:,(>]+\s*[bruf]{0,2}"
    r"(?P<quote>\"\"\"|'''|\"|')(?P<secret>(?:\\.|(?!(?P=quote))[^\\])+)(?P=quote)",
    re.IGNORECASE | re.DOTALL,
)

# A name and a bare value, as in a connection string: user=ann password=tiger host=db.
_BARE: Final = re.compile(_WORD + r"\w{0,40}=(?![='\"])(?P<secret>\S+)", re.IGNORECASE)

#: What stands before ``://``. Schemes are short; a bound keeps the search linear in long strings.
_SCHEME: Final = r"[A-Za-z][\w+.\-]{0,40}"
_SCHEME_BEFORE: Final = re.compile(rf"(?P<quote>[\"']?)\b(?P<scheme>{_SCHEME})\Z")
_NEXT_URL: Final = re.compile(rf"\s{_SCHEME}://")
_USER: Final = re.compile(r"(?:[^\s/:'\"]|['\"](?=\w))*:")
_PORT: Final = re.compile(r"\d{1,5}(?![^\s/?#'\"])")
_PARAMETER: Final = re.compile(r"[?&](?P<name>[^\s=&?]*)=(?P<value>[^&]*)")

#: In the paths of these an ``@`` is common, and after the host stands a port.
_WEB: Final = frozenset({"http", "https", "ws", "wss"})

_Span = tuple[int, int]


def redact(text: str, *known: str) -> str:
    """Return `text` with all that looks like a password replaced by ``***``.

    Parameters
    ----------
    text : str
        What is to be shown or recorded: a URL, a message, the source of a cell.
    *known : str
        Passwords known to be in use, which are hidden wherever they occur.

    Examples
    --------
    >>> redact("cannot reach postgresql://me:s3cr:et/@db.example/jobs?sslmode=require")
    'cannot reach postgresql://me:***@db.example/jobs?sslmode=require'
    >>> redact("postgresql://me:p@ss@db"), redact("mysql://db/jobs?user=me&password=x&charset=utf8")
    ('postgresql://me:***@db', 'mysql://db/jobs?user=me&password=***&charset=utf8')
    >>> redact("connect(user='me', password='tiger')")
    "connect(user='me', password='***')"
    >>> redact("sqlite:///jobs.db and https://example.org/~me")
    'sqlite:///jobs.db and https://example.org/~me'
    """
    for secret in sorted(set(known), key=len, reverse=True):
        if secret:
            text = text.replace(secret, HIDDEN)
    parts: list[str] = []
    shown = 0
    for start, end in sorted(_secrets_in(text)):
        if start >= shown:
            parts += text[shown:start], HIDDEN
        shown = max(shown, end)
    return "".join(parts) + text[shown:]


def passwords(url: str) -> tuple[str, ...]:
    """Return the passwords in a URL, in each way in which they may be written.

    >>> passwords("postgresql://me:a%40b@db/jobs"), passwords("sqlite:///jobs.db")
    (('a%40b', 'a@b'), ())
    """
    found: list[str] = []
    for start, end in _secrets_in(url):
        written = url[start:end]
        found.append(written)
        before, at, rest = written.partition("@")
        if at and ("/" in rest or "?" in rest):  # the rest may also be a host, a path and an "@" in it
            found.append(before)
    decoded = (form for secret in found for form in (secret, unquote(secret), unquote_plus(secret)))
    return tuple(dict.fromkeys(form for form in decoded if form))


def spellings(values: Iterable[str]) -> tuple[str, ...]:
    """Return secrets in each way in which a URL or a driver may write them, the longest first.

    >>> spellings(["a b"])
    ('a%20b', 'a b', 'a+b')
    """
    found = {form: None for value in values for form in (value, quote(value), quote_plus(value)) if form}
    return tuple(sorted(found, key=len, reverse=True))


def is_secret_name(name: str) -> bool:
    """Whether a name, such as that of a parameter in a URL, says that its value is a secret.

    >>> is_secret_name("sslpassword"), is_secret_name("sslmode")
    (True, False)
    """
    return _SECRET_NAME.search(name) is not None


class _Url(NamedTuple):
    """Where in a string a URL is: what follows ``://``, up to where it may end at the latest."""

    scheme: str
    start: int
    end: int


def _secrets_in(text: str) -> Iterator[_Span]:
    """Yield where secrets are; the places may overlap."""
    parameters: list[_Span] = []
    hidden = 0
    for url in _urls_in(text):
        if url.start <= hidden:  # it is part of a password
            continue
        user = _USER.match(text, url.start, url.end)
        if user is not None:
            at = text.rfind("@", user.end(), url.end)
            is_port = url.scheme in _WEB and _PORT.match(text, user.end(), url.end)
            if at >= 0 and not is_port:
                yield user.end(), at
                hidden = at
        for parameter in _PARAMETER.finditer(text, url.start, url.end):
            if is_secret_name(unquote(parameter["name"])):
                parameters.append(parameter.span())
                yield parameter.span("value")
    for match in _QUOTED.finditer(text):
        yield match.span("secret")
    for match in _BARE.finditer(text):
        # Where the value of a parameter ends is known better from the URL that it is in.
        if not any(first <= match.start() < last for first, last in parameters):
            yield match.span("secret")


def _urls_in(text: str) -> Iterator[_Url]:
    at = text.find("://")
    while at >= 0:
        before = _SCHEME_BEFORE.search(text, max(0, at - 42), at)
        start = at + 3
        if before is not None:
            yield _Url(before["scheme"].lower(), start, _end_of_url(text, start, before["quote"]))
        at = text.find("://", start)


def _end_of_url(text: str, start: int, quote_mark: str) -> int:
    """Return where a URL ends: at the closing quote, before the next URL, or with the line."""
    line = text.find("\n", start)
    end = len(text) if line < 0 else line
    following = _NEXT_URL.search(text, start, end)
    if following is not None:
        end = following.start()
    if quote_mark:
        closing = re.compile(rf"(?<!\\){quote_mark}(?!\w)").search(text, start, end)
        if closing is not None:
            user = _USER.match(text, start, closing.start())
            # A quote in a password does not end the URL: an "@" is still to come.
            if (
                user is None
                or text.find("@", user.end(), closing.start()) >= 0
                or _PORT.match(text, user.end(), closing.start() + 1)
            ):
                return closing.start()
    return end
