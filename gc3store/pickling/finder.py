"""How the names in a payload become classes: renamed, if they are trusted."""

from __future__ import annotations

import importlib
from typing import Any

from gc3store.errors import UntrustedError
from gc3store.inspection.globals import scan_names
from gc3store.inspection.machine.nodes import modern_name
from gc3store.pickling.decoder import Finder, Source
from gc3store.pickling.placeholders import Placeholders
from gc3store.pickling.trust import Trust
from gc3store.support.renaming import names, renamed

__all__ = ["finder_for"]


def finder_for(trust: Trust, id_: str, source: Source, placeholders: Placeholders | None) -> Finder | None:
    """Return what looks up the names in a payload; `None` if that is plain importing.

    Parameters
    ----------
    trust : Trust
        What may be imported.
    id_ : str
        The record's ID, for errors.
    source : Source
        The payload, still to be read.
    placeholders : Placeholders or None
        What makes up for classes that are missing.

    Raises
    ------
    UntrustedError
        If the payload names anything that may not be imported; nothing of it was then.
    """
    if trust.everything:
        if placeholders is None and not names:
            return None
        checked: frozenset[tuple[str, str]] = frozenset()
    else:
        checked = _check(trust, id_, source, missing=placeholders is not None)

    if placeholders is not None:
        placeholders.begin(id_, source)

    def find(module: str, name: str, default: Any) -> Any:
        written = f"{module}.{name}"
        module, name = renamed(module, name)
        if not trust.everything:
            if not checked.intersection([(module, name), renamed(*modern_name(module, name))]):
                trust.check(id_, module, name, default)
            if (module, name) == ("_codecs", "encode"):
                return _latin1
        if placeholders is None:
            return default(module, name)
        try:
            return placeholders.wrapped(*modern_name(module, name), default(module, name))
        except (ImportError, AttributeError):
            return placeholders.make(module, name, root=written == placeholders.root)

    return find


def _check(trust: Trust, id_: str, source: Source, *, missing: bool) -> frozenset[tuple[str, str]]:
    # All names at once and before the first is imported. This also finds what the unpickler
    # would never ask about: objects that extension codes have in a table of the process.
    if hasattr(source.stream, "read"):
        source.stream = source.stream.read()
    found, changed = scan_names(source.stream, source.buffers)
    names = [renamed(entry.module, entry.name) for entry in found]
    if trust.nothing:
        trust.check(id_, *(names[0] if names else ("", "")))
    for module, name in names:
        trust.check(id_, module, name)
    if changed:
        raise UntrustedError(
            f"{id_} is not loaded because it would change {changed[0]:.200}, which it has not made; "
            f"inspect({id_!r}) shows what is in it.",
            id=id_,
            name=changed[0],
        )
    for module, name in names:
        try:
            trust.check(id_, module, name, _import)
        except (ImportError, AttributeError):
            if not missing:
                raise
    return frozenset(names)


def _import(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _latin1(text: str, encoding: str) -> bytes:
    # How bytes are written before protocol 3; other codecs would be imported by name.
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes are not written in {encoding!r:.40}")
    return text.encode("latin-1")
