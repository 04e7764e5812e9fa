"""Objects to save in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gc3store.persistable import Persistable

__all__ = ["Bomb", "Interrupted", "Node", "Point"]


class Point:
    """A plain object."""

    def __init__(self, x: Any = 0, y: Any = 0) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    __hash__ = None  # type: ignore[assignment]


class Node(Persistable):
    """A record of its own that can refer to others."""

    def __init__(self, value: Any = None, *links: Any) -> None:
        super().__init__()
        self.value = value
        self.links = list(links)


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return _explode, (self.path,)


def _explode(path: str) -> str:
    Path(path).touch()
    return path


class Interrupted:
    """Pressing Ctrl-C while it is being serialized."""

    def __getstate__(self) -> Any:
        raise KeyboardInterrupt
