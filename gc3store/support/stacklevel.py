"""Where warnings point."""

from __future__ import annotations

import sys

__all__ = ["caller_stacklevel"]


def caller_stacklevel() -> int:
    """Return the `stacklevel` with which a warning points at the code that called this package.

    For `warnings.warn`, called by the function that calls this one.
    """
    level = found = 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] == "gc3store" and not name.startswith("gc3store.testing"):
            found = level + 1
        frame, level = frame.f_back, level + 1
    return found
