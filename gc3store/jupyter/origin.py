"""Where in a notebook an object was saved: which notebook, which cell, from what source.

User, host, Python and package versions are recorded with every object by the
store itself; this adds what only the notebook knows, whether a magic saves or a
line of Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from gc3store.support.redaction import redact

if TYPE_CHECKING:
    from gc3store.store import Store

__all__ = ["SOURCE_LIMIT", "SourceRule", "cell_origin", "notebook_name", "running_origin"]

#: Longest source recorded, in characters.
SOURCE_LIMIT = 4000

#: In which stores the source of cells is recorded. An embedded store, a SQLite file or
#: a directory, is the user's own; others may read a server's.
SourceRule = Literal["embedded", "always", "never"]

_EMBEDDED = ("sqlite", "file")


def notebook_name(shell: Any) -> str | None:
    """Return the file name of the notebook that the kernel belongs to, where the front end tells."""
    # Jupyter's server since 2.0 puts the path in the environment (in a console it is some
    # unique name); VS Code puts it in the namespace.
    for path in (os.environ.get("JPY_SESSION_NAME"), shell.user_ns.get("__vsc_ipynb_file__")):
        if isinstance(path, str) and path.endswith(".ipynb"):
            return PurePath(path.replace("\\", "/")).name
    return None


def running_origin(store: Store) -> Mapping[str, Any]:
    """Return where in a notebook this process is right now; nothing where no IPython runs.

    What stores record of an object's place while no magics are loaded.
    """
    ipython = sys.modules.get("IPython.core.getipython")
    shell = None if ipython is None else ipython.get_ipython()
    return {} if shell is None else cell_origin(shell, store)


def cell_origin(
    shell: Any, store: Store, *, rule: SourceRule = "embedded", secrets: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """Return where an object that is being saved now comes from.

    Parameters
    ----------
    shell : InteractiveShell
        The shell whose cell is running.
    store : Store
        Where the object is saved; decides whether the source goes with it.
    rule : {"embedded", "always", "never"}
        In which stores to record the source.
    secrets : tuple of str
        Passwords known to be in use.

    Returns
    -------
    mapping of str to Any
        ``notebook`` (file name), ``cell`` (execution count) and ``source``, as far as
        they are known. The source has no passwords in it and at most `SOURCE_LIMIT`
        characters, of which a last line says how many are left out.
    """
    if not _in_cell(shell):
        notebook = notebook_name(shell)
        return {} if notebook is None else {"notebook": notebook}
    # Not shell.execution_count, which is ahead by one in newer versions of IPython.
    count = shell.displayhook.prompt_count
    recorded = rule == "always" or (rule == "embedded" and _is_embedded(store))
    source = _source(shell, count) if recorded else ""
    return _described(notebook_name(shell), count, source, secrets)


@lru_cache(maxsize=8)  # a cell may save many objects
def _described(notebook: str | None, count: int, source: str, secrets: tuple[str, ...]) -> Mapping[str, Any]:
    origin: dict[str, Any] = {} if notebook is None else {"notebook": notebook}
    origin["cell"] = count
    source = redact(source, *secrets).strip("\n")
    if len(source) > SOURCE_LIMIT:
        source = f"{source[:SOURCE_LIMIT]}\n… and {len(source) - SOURCE_LIMIT:,} characters more"
    if source:
        origin["source"] = source
    return MappingProxyType(origin)


def _in_cell(shell: Any) -> bool:
    # In a kernel, a click in a widget runs code too, without any cell.
    get_parent = getattr(shell, "get_parent", None)
    if get_parent is None:
        return True
    parent = get_parent() or {}
    return bool(parent.get("header", {}).get("msg_type", "execute_request") == "execute_request")


def _source(shell: Any, count: int) -> str:
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", [])
    return str(history[count]) if 0 < count < len(history) else ""


def _is_embedded(store: Store) -> bool:
    scheme = (store.url or "").partition(":")[0].partition("+")[0]
    return scheme in _EMBEDDED
