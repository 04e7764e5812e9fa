"""The surroundings in which objects are saved: who, where, with which versions.

The same for thousands of records, so a store keeps each description once and
records name it by its digest.
"""

from __future__ import annotations

import getpass
import json
import platform
import socket
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import xxhash

__all__ = ["current_environment", "environment_text", "set_place"]

_current: tuple[int, Mapping[str, Any], str] = (0, {}, "")
_texts: dict[str, str] = {}


_NOWHERE: Mapping[str, Any] = {}


def _no_place(_store: Any) -> Mapping[str, Any]:
    return _NOWHERE


_place: Callable[[Any], Mapping[str, Any]] = _no_place


def set_place(place: Callable[[Any], Mapping[str, Any]]) -> None:
    """Set what tells where in a notebook the process is right now.

    Parameters
    ----------
    place : callable
        Takes the store that is being written to and returns what JSON can write.
    """
    global _place
    _place = place


def current_environment(store: Any = None) -> str:
    """Return the digest of a description of this process.

    It names the user, the host, the Python version and the versions of the
    top-level packages that are imported right now, and in a notebook the cell.
    """
    global _current
    modules = len(sys.modules)
    place = _place(store) if "IPython" in sys.modules else _NOWHERE
    if _current[0] != modules or _current[1] != place:  # made anew only when something has changed
        text = json.dumps({**_fixed(), "packages": _packages(), **place}, sort_keys=True)
        digest = xxhash.xxh3_64_hexdigest(text.encode())
        _texts[digest] = text
        _current = (modules, place, digest)
    return _current[2]


def environment_text(digest: str) -> str:
    """Return the JSON text of a description that this process has made."""
    return _texts[digest]


@cache
def _fixed() -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        user = ""
    return {
        "user": user,
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "platform": sys.platform,
    }


def _packages() -> dict[str, str]:
    found = {}
    for name in list(sys.modules):
        if "." in name or name.startswith("_") or name in sys.stdlib_module_names:
            continue
        # Not by getattr: some modules compute their version when asked, and warn about it.
        version = getattr(sys.modules.get(name), "__dict__", {}).get("__version__")
        if isinstance(version, str) and len(version) < 60:
            found[name] = version
    return dict(sorted(found.items())[:200])
