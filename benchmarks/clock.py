"""Interleaved rounds, and what can be said of their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.process import Failed, Skipped

__all__ = ["Series", "Table", "interleave", "ratio"]


@dataclass
class Series:
    """What one contender took for one operation, by round.

    Attributes
    ----------
    rounds : dict of int to float
        Seconds an operation, by the number of the round, as the chosen clock has them.
    other : dict of int to float
        The same by the other clock.
    peak : list of int
        Bytes of memory at the highest, above those before, for operations that weigh it.
    failure : str
        Why there are no (more) rounds.
    """

    rounds: dict[int, float] = field(default_factory=dict)
    other: dict[int, float] = field(default_factory=dict)
    peak: list[int] = field(default_factory=list)
    failure: str = ""

    def add(self, number: int, timing: Mapping[str, Any], clock: str = "wall") -> None:
        """Take in the timing of a round."""
        self.rounds[number] = timing[clock]
        self.other[number] = timing["cpu" if clock == "wall" else "wall"]
        if "peak" in timing:
            self.peak.append(timing["peak"])

    @property
    def median(self) -> float:
        return statistics.median(self.rounds.values())

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.rounds.values()), max(self.rounds.values())


#: Operation and contender, each by its key, to times.
Table = dict[str, dict[str, Series]]


def ratio(series: Series | None, base: Series | None) -> float | None:
    """Return the median of the rounds' ratios; `None` where there is none to be had."""
    if series is None or base is None:
        return None
    common = series.rounds.keys() & base.rounds.keys()
    ratios = [series.rounds[number] / base.rounds[number] for number in common if base.rounds[number]]
    return statistics.median(ratios) if ratios else None


def interleave(
    contenders: Mapping[str, Callable[[int], Mapping[str, Mapping[str, Any]]]],
    table: Table,
    *,
    rounds: int,
    seconds: float = 1e9,
    operations: Iterable[str] = (),
    clock: str = "wall",
) -> None:
    """Run `rounds` rounds of all `contenders`, in an order that changes; fill `table`.

    Each contender is called with the number of the round and returns timings by operation.
    One that has used up its `seconds` takes no part in the rounds that are left, though
    everyone gets three unless they take very long; ratios pair the rounds that both have.
    """
    order = list(contenders)
    used = dict.fromkeys(order, 0.0)
    names = list(operations)
    for number in range(rounds):
        order = order[1:] + order[:1] if number % 2 else order[::-1]
        for key in list(order):
            if used[key] > (seconds if number >= 3 else 3 * seconds):
                continue
            start = time.perf_counter()
            try:
                timings = contenders[key](number)
            except (Failed, Skipped) as reason:
                for operation in names:
                    failure = "-" if isinstance(reason, Skipped) else str(reason)
                    table.setdefault(operation, {}).setdefault(key, Series()).failure = failure
                order.remove(key)
                continue
            used[key] += time.perf_counter() - start
            for operation, timing in timings.items():
                table.setdefault(operation, {}).setdefault(key, Series()).add(number, timing, clock)
