"""Tab completion for the magics: options, variables, names and IDs, URLs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any

from gc3store.jupyter.lookup import starting_with, versions
from gc3store.jupyter.magics.arguments import Completes, argument_at
from gc3store.jupyter.variables import variables
from gc3store.query import ALIASES, Condition, Query
from gc3store.record import FIELDS
from gc3store.store import Store

if TYPE_CHECKING:
    from gc3store.jupyter.magics.commands import StoreMagics

__all__ = ["Completer"]

#: How many names and IDs are offered; the store is asked for no more.
LIMIT = 50

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

    def _candidates(self, magic: str, word: str, before: list[str]) -> list[str]:
        parser = self._parsers.get(magic)
        if parser is None:
            return []
        found: Iterable[str]
        if word.startswith("-"):
            found = (option for action in parser._actions for option in action.option_strings)
        else:
            completes: Completes | None = getattr(argument_at(parser, before), "completes", None)
            found = [] if completes is None else _CANDIDATES[completes](Context(self._magics, before), word)
        return [candidate for candidate in found if candidate.startswith(word)]


class Context:
    """Where a word stands that is to be completed.

    Parameters
    ----------
    magics : StoreMagics
        Whose current store and namespace.
    before : list of str
        The words before it.
    """

    def __init__(self, magics: StoreMagics, before: list[str]) -> None:
        self.before = before
        self.namespace: Mapping[str, Any] = magics.shell.user_ns
        self.hidden = magics.hidden()
        self._current = magics.current

    @property
    def store(self) -> Store | None:
        """The current store; `None` if it cannot be opened."""
        return self._current.opened or self._current.peek()


def _fields(_context: Context, _word: str) -> list[str]:
    return [sign + field for sign in ("", "-") for field in FIELDS]


def _variables(context: Context, _word: str) -> list[str]:
    return [variable.name for variable in variables(context.namespace, context.hidden)]


def _urls(context: Context, word: str) -> list[str]:
    from gc3store.registry import known_schemes  # the store's machinery on first use

    found = [
        f"{scheme}:///" if scheme in ("sqlite", "file") else f"{scheme}://"
        for scheme in sorted(known_schemes())
    ]
    found += [
        name for name, value in context.namespace.items() if isinstance(value, Store) and name[0] != "_"
    ]
    return [url for url in found if url != word]


def _objects(context: Context, word: str) -> list[str]:
    if context.store is None:
        return []
    name, at, _ = word.rpartition("@")
    if at:
        count = len(versions(context.store, name, limit=LIMIT))
        return [f"{name}@{n}" for n in range(count, 0, -1)]
    return _without_blanks(starting_with(context.store, word, limit=LIMIT))


def _objects_as_variable(context: Context, word: str) -> list[str]:
    if context.before[-1:] == ["as"]:
        return _variables(context, word)
    return [*_objects(context, word), *(["as"] if context.before else [])]


def _queries(context: Context, word: str) -> list[str]:
    if ":" not in word:
        return [*_objects(context, word), *(f"{field}:" for field in ("class", *FIELDS))]
    name, _, value = word.partition(":")
    field = ALIASES.get(name, name)
    if field == "name":
        found = _without_blanks(_names(context, value))
    elif field not in _FACETS:
        found = []
    else:
        found = _facets(context, field)
        if field == "cls" and "." not in value:
            found = [cls.rpartition(".")[2] for cls in found]
    return [f"{name}:{text}" for text in found if text.startswith(value)][:LIMIT]


def _names(context: Context, word: str) -> list[str]:
    if context.store is None:
        return []
    conditions = (Condition("name", ">=", word), Condition("name", "<", word + "\U0010ffff"))
    query = Query(conditions=conditions, order=(("number", True),), limit=LIMIT)
    return [record.name for record in context.store.records(query) if record.name]


def _tags(context: Context, word: str) -> list[str]:
    return [tag for tag in _facets(context, "tags") if tag.startswith(word)][:LIMIT]


def _facets(context: Context, field: str) -> list[str]:
    if context.store is None:
        return []
    return _without_blanks(str(value) for value in context.store.facets(field) if value)


def _without_blanks(found: Iterable[str]) -> list[str]:
    return [text for text in found if not re.search(r"\s", text)]


_CANDIDATES: Mapping[Completes, Callable[[Context, str], list[str]]] = {
    "fields": _fields,
    "names": _names,
    "objects": _objects,
    "objects_as_variable": _objects_as_variable,
    "queries": _queries,
    "tags": _tags,
    "urls": _urls,
    "variables": _variables,
}
