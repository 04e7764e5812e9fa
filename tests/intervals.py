"""A model of one record under many processes: is there an order that explains what all of them saw?

Each operation has an interval: it took effect at one moment between its beginning and its end. One
whose process was killed may have taken effect at any moment after its beginning, or never. Records are
independent of each other, so that each can be looked at by itself: the whole is explained when
every record is (linearizability is local; Herlihy and Wing, 1990).

The search is that of Wing and Gong: of all operations that may come next, since none that is left ended
before they began, try one after the other; positions that were reached before are not tried again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: The state of a record that is not there.
GONE = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What one process did to a record, or saw of it.

    `kind` is what was asked for, `outcome` what came of it; `value` is what it wrote or read, and
    `expected` what the record had to hold for it.
    """

    kind: str  # create, replace, change (compare and swap), remove, load, list
    start: float
    end: float = math.inf
    outcome: str = "unknown"  # done, missing, conflict; or killed in the middle
    value: Any = None
    expected: Any = None

    def applied(self, state: Any) -> list[Any]:
        """Return the states after it, if it took place at a moment when the record was in `state`."""
        there = state is not GONE
        match self.kind, self.outcome:
            case "create", _:
                return [] if there else [self.value]
            case (("replace" | "change" | "remove" | "load"), "missing"):
                return [] if there else [state]
            case "change", "conflict":
                return [state] if state != self.expected else []
            case "change", _:
                return [self.value] if there and state == self.expected else []
            case "replace", _:
                return [self.value] if there else []
            case "remove", _:
                return [GONE] if there else []
            case (("load" | "list"), _):  # a list knows only whether it was there
                fits = state == self.value if self.kind == "load" else there == self.value
                return [state] if fits else []
        raise AssertionError(self)


def explained(operations: list[Operation], final: Any, before: Any = GONE) -> bool:
    """Whether some order explains the operations on one record, and what it holds in the end."""
    certain = [op for op in operations if op.outcome != "unknown"]
    certain.append(Operation("load", math.inf, math.inf, "done", final))
    certain.sort(key=lambda op: op.start)
    cut_off = [op for op in operations if op.outcome == "unknown"]
    # A position: up to which of the certain ones all are done, which after that, which of those that
    # were cut off, and the state.
    seen: set[tuple[int, int, int, str]] = set()
    stack: list[tuple[int, int, int, Any]] = [(0, 0, 0, before)]
    while stack:
        low, more, called, state = stack.pop()
        while more & 1:
            low, more = low + 1, more >> 1
        if low == len(certain):
            return True
        key = (low, more, called, repr(state))
        if key in seen:
            continue
        seen.add(key)
        first_end, window = math.inf, []
        for i in range(low, len(certain)):
            if certain[i].start > first_end:
                break
            if not more >> (i - low) & 1:
                window.append(i)
                first_end = min(first_end, certain[i].end)
        # What is certain is tried first: one that was cut off is called on only where nothing else helps.
        for i, op in enumerate(cut_off):
            if not called >> i & 1 and op.start <= first_end:
                stack += [(low, more, called | 1 << i, after) for after in op.applied(state)]
        for i in sorted(window, key=lambda i: -certain[i].end):
            if certain[i].start <= first_end:
                stack += [(low, more | 1 << (i - low), called, after) for after in certain[i].applied(state)]
    return False
