"""Ctrl-C at a line of the code under test that can be chosen."""

import sys
from itertools import count


def interrupted(modules, number, function, *arguments, **options):
    """Call a function and interrupt it at line `number` of those it executes in modules; say whether there was one."""
    lines = count(1)

    def trace(frame, event, argument):
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(modules) or name.startswith("gc3store.testing"):
            return None
        if event == "line" and next(lines) == number:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments, **options)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return next(lines) > number  # it came where Python swallows it
