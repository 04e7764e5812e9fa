"""Classes of the golden stores; this folder is on the path where they are written and read."""

from __future__ import annotations

import enum

from gc3store import Persistable


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Run(Persistable):
    def __init__(self, temperature, state="NEW"):
        super().__init__()
        self.temperature = temperature
        self.state = state
        self.parts = []

    def energy(self):
        return -2 * self.temperature


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, by=1):
        return self.x + by, self.y + by


def letters(obj):
    """Fill a user column by a function."""
    return len(type(obj).__name__)
