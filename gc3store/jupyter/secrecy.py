"""Keeping passwords out of what a notebook shows, records and remembers."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import Any
from urllib.parse import unquote

__all__ = ["HIDDEN", "forget_input", "hide", "passwords"]

#: What stands where a password was.
HIDDEN = "***"

# user:password@ in a URL; the password reaches to the last @ before a blank, a quote
# or the end, for people do not always write %40 and %2F. A number and a slash are a port.
_URL = re.compile(r"(?P<before>[A-Za-z][\w+.\-]*://[^\s/:@'\"]*:)(?!\d{1,5}/)(?P<secret>[^\s'\"]*)(?=@)")

# A name that says what it holds, and a quoted text: password="...", "api_key": '...',
# environ["DB_PASSWORD"] = "...". Also in the query of a URL, where no quotes are.
_WORD = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|access_?key|credentials?)"
_NAMED = re.compile(
    rf"(?P<before>{_WORD}\w*[\"']?\]?\s*(?::\s*\w+\s*)?[=:,(]+\s*[bruf]{{0,2}})(?P<quote>\"\"\"|'''|\"|')(?P<secret>.+?)(?P=quote)",
    re.IGNORECASE | re.DOTALL,
)
_PARAMETER = re.compile(rf"(?P<before>[?&;]\w*{_WORD}\w*=)(?P<secret>[^&;\s'\"#]+)", re.IGNORECASE)


def hide(text: str, *known: str) -> str:
    """Return `text` with whatever looks like a password replaced by ``***``.

    Parameters
    ----------
    text : str
        What is to be shown or recorded: a message, the source of a cell.
    *known : str
        Passwords known to be in use, which are hidden wherever they occur.

    Examples
    --------
    >>> hide("cannot reach postgresql://me:s3cr:et/@db.example/jobs?sslmode=require")
    'cannot reach postgresql://me:***@db.example/jobs?sslmode=require'
    >>> hide("connect(user='me', password='tiger')")
    "connect(user='me', password='***')"
    >>> hide("sqlite:///jobs.db and https://example.org/~me")
    'sqlite:///jobs.db and https://example.org/~me'
    """
    for secret in sorted(set(known), key=len, reverse=True):
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _URL.sub(rf"\g<before>{HIDDEN}", text)
    text = _PARAMETER.sub(rf"\g<before>{HIDDEN}", text)
    return _NAMED.sub(rf"\g<before>\g<quote>{HIDDEN}\g<quote>", text)


def passwords(url: str) -> tuple[str, ...]:
    """Return the passwords in a URL, as written and decoded.

    >>> passwords("postgresql://me:a%40b@db/jobs"), passwords("sqlite:///jobs.db")
    (('a%40b', 'a@b'), ())
    """
    found = [m["secret"] for pattern in (_URL, _PARAMETER) for m in pattern.finditer(url)]
    return tuple(dict.fromkeys(form for secret in found for form in (secret, unquote(secret)) if form))


def forget_input(shell: Any, *known: str) -> None:
    """Take passwords out of the shell's memory of what was typed.

    That is ``In``, ``_i`` and its kin, the input history of this session and what
    of it is in IPython's history file already. The cell itself belongs to the front
    end, and stays as it was typed.
    """
    namespace = shell.user_ns
    for name in [n for n in namespace if re.fullmatch(r"_i+|_i\d+", n)]:
        if isinstance(namespace[name], str):
            namespace[name] = hide(namespace[name], *known)
    history = getattr(shell, "history_manager", None)
    if history is None:
        return
    for lines in (history.input_hist_parsed, history.input_hist_raw):
        for n, line in enumerate(lines):
            if (hidden := hide(line, *known)) != line:
                lines[n] = hidden
    for name in ("_i", "_ii", "_iii", "_i00"):
        setattr(history, name, hide(getattr(history, name, ""), *known))
    with getattr(history, "db_input_cache_lock", contextlib.nullcontext()):
        history.db_input_cache = [
            (number, *(hide(line, *known) for line in lines)) for number, *lines in history.db_input_cache
        ]
        with contextlib.suppress(sqlite3.Error, AttributeError):
            _forget_written(history, known)


def _forget_written(history: Any, known: tuple[str, ...]) -> None:
    # The history thread may have written the line before the magic ran. `db` is the
    # history manager's connection of this thread, or a stand-in where history is off.
    session = (history.session_number,)
    rows = history.db.execute("SELECT line, source, source_raw FROM history WHERE session = ?", session)
    for line, *sources in list(rows):
        hidden = [hide(source, *known) for source in sources]
        if hidden != sources:
            with history.db:
                history.db.execute(
                    "UPDATE history SET source = ?, source_raw = ? WHERE session = ? AND line = ?",
                    (*hidden, history.session_number, line),
                )
