"""Periods of pandas as texts, from their ordinals: ``2026-05``, ``2026Q2``."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final

__all__ = ["PERIOD_OFFSETS", "period_text"]

_EPOCH: Final = date(1970, 1, 1)
_DAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")

#: What offsets of pandas are called in the name of a frequency.
PERIOD_OFFSETS: Final = {
    "YearEnd": "Y", "QuarterEnd": "Q", "MonthEnd": "M", "Week": "W", "BusinessDay": "B", "Day": "D", "Hour": "h",
    "Minute": "min", "Second": "s", "Milli": "ms", "Micro": "us", "Nano": "ns",
}  # fmt: skip

#: Ticks of a clock: how many there are in a second, how many seconds one lasts, and how they are shown.
_CLOCKS: Final = {
    "h": (1, 3600, "%Y-%m-%d %H:%M"), "min": (1, 60, "%Y-%m-%d %H:%M"), "s": (1, 1, "%Y-%m-%d %H:%M:%S"),
    "ms": (10**3, 1, "%Y-%m-%d %H:%M:%S"), "us": (10**6, 1, "%Y-%m-%d %H:%M:%S"),
    "ns": (10**9, 1, "%Y-%m-%d %H:%M:%S"),
}  # fmt: skip


def _week(ordinal: int, anchor: str) -> str:
    # Week 0 is the one that ends on Sunday, 28 December 1969, or on the next day of that name.
    end = _EPOCH + timedelta(7 * ordinal - 4 + (_DAYS.index(anchor or "SUN") + 1) % 7)
    return f"{end - timedelta(6)}/{end}"


def _business_day(ordinal: int, _anchor: str) -> str:
    weeks, day = divmod(ordinal + 3, 5)  # from the Monday before the epoch, a Thursday
    return str(_EPOCH + timedelta(7 * weeks + day - 3))


_DATES: Final[dict[str, Callable[[int, str], str]]] = {
    "Y": lambda n, _: f"{1970 + n:04}",
    "Q": lambda n, _: f"{1970 + n // 4:04}Q{n % 4 + 1}",
    "M": lambda n, _: f"{1970 + n // 12:04}-{n % 12 + 1:02}",
    "W": _week,
    "B": _business_day,
    "D": lambda n, _: str(_EPOCH + timedelta(n)),
}


def period_text(ordinal: int, freq: str) -> str | int:
    """Return how pandas writes the period with an ordinal; the ordinal where its frequency is not known.

    Examples
    --------
    >>> period_text(676, "3M"), period_text(228, "Q-MAR"), period_text(2941, "W-SUN")
    ('2026-05', '2027Q1', '2026-05-04/2026-05-10')
    """
    match = re.fullmatch(r"\d{0,9}([A-Za-z]+)(?:-([A-Z]{3}))?", freq)
    if match is None:
        return ordinal
    name, anchor = match[1], match[2] or ""
    name = {"A": "Y", "H": "h", "T": "min", "S": "s", "L": "ms", "U": "us", "N": "ns"}.get(name, name)
    try:
        if name in _DATES:
            return _DATES[name](ordinal, anchor)
        if name not in _CLOCKS:
            return ordinal
        per_second, seconds, form = _CLOCKS[name]
        whole, rest = divmod(ordinal, per_second)
        moment = datetime(1970, 1, 1) + timedelta(seconds=whole * seconds)  # noqa: DTZ001 - periods have no zone
    except (OverflowError, ValueError):
        return ordinal
    return moment.strftime(form) + (f".{rest:0{len(str(per_second)) - 1}}" if per_second > 1 else "")
