"""Changes by others at a chosen moment of a call, so that no test of a race depends on chance."""

from __future__ import annotations

import sys
from functools import partial


def meanwhile(line, action, function, *args, **options):
    """Call a function, and `action` before one of the lines of this package that it executes.

    Returns
    -------
    tuple
        What the function returned, and how many lines it executed up to then, or in all if there were fewer.
    """
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        name = frame.f_globals.get("__name__", "")
        if lines == line or not name.startswith("gc3store.") or name.startswith("gc3store.testing"):
            return None
        if event == "line":
            lines += 1
            if lines == line:
                action()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = function(*args, **options)
    finally:
        sys.settrace(before)
    return result, lines


def moments(function, *args, most=25, **options):
    """Call a function, and return numbers of lines that are spread over the call."""
    _, lines = meanwhile(None, partial(bool), function, *args, **options)
    return range(1, lines + 1, max(1, lines // most))
