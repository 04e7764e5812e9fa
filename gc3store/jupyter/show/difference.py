"""What differs between two stored objects, in lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gc3store.inspection import Difference, class_path, text
from gc3store.inspection import differences as compare
from gc3store.support.text import single_line

if TYPE_CHECKING:
    from gc3store.store import Store

__all__ = ["differences"]

#: How many places are shown.
LIMIT = 50


def differences(store: Store, a: str, b: str) -> Iterator[str]:
    """Yield a line for each place where two objects differ; none if they are the same.

    Neither is loaded: what their bytes say is compared, so that this works without
    their classes too, and runs no code of theirs.

    Raises
    ------
    NotSupportedError
        If the store cannot look into objects without loading them.
    """
    found = compare(store.inspect(a), store.inspect(b), limit=LIMIT + 1)
    for difference in found[:LIMIT]:
        path = single_line(difference.path, 100) or "value"
        yield f"  {path}: {_shown(difference.left)} → {_shown(difference.right)}"
    if len(found) > LIMIT:
        yield "  and more"


def _shown(value: Any) -> str:
    if value is Difference.MISSING:
        return "nothing"
    shown = single_line(text(value, limit=200), 80)
    return shown or class_path(value)
