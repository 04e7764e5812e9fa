"""Tab completion for the magics: options, variables, names and IDs, URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any

from gc3store.jupyter.lookup import starting_with, versions
from gc3store.jupyter.variables import variables
from gc3store.record import FIELDS, Condition, Query
from gc3store.store import Store

if TYPE_CHECKING:
    from gc3store.jupyter.magics import StoreMagics

__all__ = ["Completer"]

#: How many names and IDs are offered; the store is asked for no more.
LIMIT = 50

_OBJECTS = ("store_load", "store_replace", "store_remove", "store_info", "store_diff", "store_tag")
_QUERIES = ("store_list", "store_browse")
_FACETS = ("cls", "state", "tags")
_ASSIGNED = re.compile(r"^[^#'\"]*=\s*%store_\w+\s")
_MAGIC = re.compile(r"%{0,2}(store_\w+)[ \t]+")


class Completer:
    """Completes the arguments of the magics, through IPython's hook for commands.

    Parameters
    ----------
    magics : StoreMagics
        Whose current store and namespace.
    functions : mapping of (str, str) to callable
        The magics to complete, by kind and name.
    """

    def __init__(self, magics: StoreMagics, functions: Mapping[tuple[str, str], Any]) -> None:
        self._magics = magics
        self._shell = magics.shell
        self._commands = [{"line": "%", "cell": "%%"}[kind] + name for kind, name in functions]
        self._parsers = {name: function.parser for (_, name), function in functions.items()}

    def install(self) -> None:
        """Start to complete."""

        def complete(_shell: Any, event: Any) -> list[str]:
            return self.complete(event)

        for command in self._commands:
            self._shell.set_hook("complete_command", complete, str_key=command)
        self._shell.set_hook("complete_command", complete, re_key=_ASSIGNED.pattern)
        self._function = complete

    def remove(self) -> None:
        """Take the hooks out again; those of others under the same commands stay."""
        dispatcher = self._shell.strdispatchers["complete_command"]
        for chains in (dispatcher.strs, dispatcher.regexs):
            for key in list(chains):
                chain = chains[key].chain
                chain[:] = [
                    (priority, hook)
                    for priority, hook in chain
                    if not (isinstance(hook, MethodType) and hook.__func__ is self._function)
                ]
                if not chain:
                    del chains[key]

    def complete(self, event: Any) -> list[str]:
        """Return what could stand at the cursor.

        IPython cuts words at more characters than blanks (``-``, ``@``, ``:``, ``=``), and
        wants only what replaces the last piece, `event.symbol`.
        """
        line: str = event.text_until_cursor
        matches = list(_MAGIC.finditer(line))
        if not matches:
            return []
        magic, words = matches[-1][1], line[matches[-1].end() :]
        word = re.search(r"\S*\Z", words)[0]  # type: ignore[index]
        before = words[: len(words) - len(word)].split()
        try:
            found = list(self._candidates(magic, word, before))
        except Exception:  # noqa: BLE001  a Tab must never be answered with an error
            return []
        cut = len(word) - len(event.symbol)
        return [candidate[cut:] for candidate in dict.fromkeys(found) if candidate.startswith(word[:cut])]

    def _candidates(self, magic: str, word: str, before: list[str]) -> Iterable[str]:
        parser = self._parsers.get(magic)
        if parser is None:
            return []
        if word.startswith("-"):
            return [o for action in parser._actions for o in action.option_strings if o.startswith(word)]
        last = before[-1] if before else ""
        store = self._magics.current.opened or self._magics.current.peek()
        if last in ("-t", "--tag", "--drop"):
            return self._facets(store, "tags", word)
        if last in ("--as", "--name"):
            return self._names(store, word)
        if last == "--sort":
            return [sign + field for sign in ("", "-") for field in FIELDS if (sign + field).startswith(word)]
        if magic == "store_open":
            return self._urls(word)
        if magic == "store_save":
            return self._variables(word)
        if magic == "store_replace" and len([w for w in before if not w.startswith("-")]) == 1:
            return self._variables(word)
        if magic == "store_load" and last == "as":
            return self._variables(word)
        if magic in _QUERIES and ":" in word:
            return self._values(store, word)
        if magic in (*_OBJECTS, *_QUERIES):
            found = self._objects(store, word)
            if magic in _QUERIES:
                found += [f"{field}:" for field in ("class", *FIELDS) if field.startswith(word)]
            elif magic == "store_load" and before and "as".startswith(word):
                found.append("as")
            return found
        return []

    def _variables(self, word: str) -> list[str]:
        namespace = self._shell.user_ns
        names = [v.name for v in variables(namespace, self._magics.hidden())]
        return [name for name in names if name.startswith(word)]

    def _urls(self, word: str) -> list[str]:
        from gc3store.registry import known_schemes  # the store's machinery on first use

        found = [
            f"{scheme}:///" if scheme in ("sqlite", "file") else f"{scheme}://"
            for scheme in sorted(known_schemes())
        ]
        found += [
            name for name, value in self._shell.user_ns.items() if isinstance(value, Store) and name[0] != "_"
        ]
        return [url for url in found if url.startswith(word) and url != word]

    def _objects(self, store: Store | None, word: str) -> list[str]:
        if store is None:
            return []
        name, at, _ = word.rpartition("@")
        if at:
            count = len(versions(store, name, limit=LIMIT))
            found = [f"{name}@{n}" for n in range(count, 0, -1)]
            return [version for version in found if version.startswith(word)]
        return [text for text in starting_with(store, word, limit=LIMIT) if not re.search(r"\s", text)]

    def _names(self, store: Store | None, word: str) -> list[str]:
        if store is None or not store.offers("records"):
            return []
        conditions = (Condition("name", ">=", word), Condition("name", "<", word + "\U0010ffff"))
        query = Query(conditions=conditions, order=(("number", True),), limit=LIMIT)
        return [r.name for r in store.records(query) if r.name and r.name.startswith(word)]

    def _facets(self, store: Store | None, field: str, word: str) -> list[str]:
        if store is None or not store.offers("facets"):
            return []
        values = [str(value) for value in store.facets(field) if value]
        return [value for value in values if value.startswith(word) and not re.search(r"\s", value)][:LIMIT]

    def _values(self, store: Store | None, word: str) -> list[str]:
        name, _, value = word.partition(":")
        field = {"class": "cls", "tag": "tags"}.get(name, name)
        if field == "name":
            return [f"{name}:{found}" for found in self._names(store, value) if not re.search(r"\s", found)]
        if field not in _FACETS:
            return []
        if field == "cls" and "." not in value:
            found = [cls.rpartition(".")[2] for cls in self._facets(store, field, "")]
            return [f"{name}:{cls}" for cls in found if cls.startswith(value)]
        return [f"{name}:{found}" for found in self._facets(store, field, value)]
