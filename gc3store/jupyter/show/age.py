"""How long ago something was, as people say it."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["age"]


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago `moment` was, as people say it; the date, if that is long ago.

    >>> noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    >>> age(noon, noon), age(datetime(2026, 11, 23, 11, 15, tzinfo=UTC), noon)
    ('just now', '45 min ago')
    >>> age(datetime(2026, 1, 2, tzinfo=UTC), noon)
    '2026-01-02'
    """
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min ago"
    if seconds < 129600:
        return f"{round(seconds / 3600)} h ago"
    if seconds < 30 * 86400:
        return f"{round(seconds / 86400)} days ago"
    return moment.astimezone().strftime("%Y-%m-%d")
