"""Taking passwords out of what IPython keeps of typed input."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import Any

from gc3store.support.redaction import redact

__all__ = ["forget_input"]


def forget_input(shell: Any, *known: str) -> None:
    """Take passwords out of the shell's memory of what was typed.

    That is ``In``, ``_i`` and its kin, the input history of this session and what
    of it is in IPython's history file already. The cell itself belongs to the front
    end, and stays as it was typed.
    """
    namespace = shell.user_ns
    for name in [n for n in namespace if re.fullmatch(r"_i+|_i\d+", n)]:
        if isinstance(namespace[name], str):
            namespace[name] = redact(namespace[name], *known)
    history = getattr(shell, "history_manager", None)
    if history is None:
        return
    for lines in (history.input_hist_parsed, history.input_hist_raw):
        for n, line in enumerate(lines):
            if (hidden := redact(line, *known)) != line:
                lines[n] = hidden
    for name in ("_i", "_ii", "_iii", "_i00"):
        setattr(history, name, redact(getattr(history, name, ""), *known))
    with getattr(history, "db_input_cache_lock", contextlib.nullcontext()):
        history.db_input_cache = [
            (number, *(redact(line, *known) for line in lines)) for number, *lines in history.db_input_cache
        ]
        with contextlib.suppress(sqlite3.Error, AttributeError):
            _forget_written(history, known)


def _forget_written(history: Any, known: tuple[str, ...]) -> None:
    # The history thread may have written the line before the magic ran. `db` is the
    # history manager's connection of this thread, or a stand-in where history is off.
    session = (history.session_number,)
    rows = history.db.execute("SELECT line, source, source_raw FROM history WHERE session = ?", session)
    for line, *sources in list(rows):
        hidden = [redact(source, *known) for source in sources]
        if hidden != sources:
            with history.db:
                history.db.execute(
                    "UPDATE history SET source = ?, source_raw = ? WHERE session = ? AND line = ?",
                    (*hidden, history.session_number, line),
                )
