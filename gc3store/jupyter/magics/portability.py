"""Whether a fresh kernel could load what this one saves.

What a notebook defines is saved by value. What a module defines is saved as the
module's name, and a fresh kernel must find that module: one that lies in a
directory that was added to `sys.path` here, or that was made on the fly, it will not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from typing import Any

__all__ = ["Portability"]

#: How many objects are looked at within one.
LIMIT = 2000


class Portability:
    """Knows where a fresh kernel looks for modules.

    Parameters
    ----------
    path : iterable of str, optional
        The directories; by default those of `sys.path` as they are now.
    """

    def __init__(self, path: Iterable[str] | None = None) -> None:
        self._path = list(sys.path if path is None else path)
        self._found: dict[str, bool] = {}

    def missing(self, obj: Any) -> list[str]:
        """Return the modules that `obj` needs and a fresh kernel would not find.

        Looked at are the classes of `obj` and of what it contains, in containers and
        attributes; no code of theirs runs.
        """
        roots = dict.fromkeys(module.partition(".")[0] for module in _modules(obj))
        return [root for root in roots if not self._is_found(root)]

    def _is_found(self, root: str) -> bool:
        if root in ("", "__main__", "__mp_main__") or root in sys.stdlib_module_names:
            return True
        if root not in self._found:
            finders = [finder for finder in sys.meta_path if finder is not PathFinder]
            self._found[root] = PathFinder.find_spec(root, self._path) is not None or any(
                finder.find_spec(root, None) is not None for finder in finders if hasattr(finder, "find_spec")
            )
        return self._found[root]


def _modules(obj: Any) -> Iterator[str]:
    queue, seen = [obj], {id(obj)}
    for value in queue:  # grows while it is walked
        cls = type(value)
        named = value if issubclass(cls, type) or cls.__name__ == "function" else cls
        module = getattr(named, "__module__", None)
        if isinstance(module, str):
            yield module
        inside: list[Any] = []
        if cls in (list, tuple, set, frozenset):
            inside += value
        elif cls is dict:
            inside += [*value, *value.values()]
        elif not issubclass(cls, type) and isinstance(state := getattr(value, "__dict__", None), dict):
            inside += state.values()
        for other in inside[: LIMIT - len(queue)]:
            if id(other) not in seen:
                seen.add(id(other))
                queue.append(other)
