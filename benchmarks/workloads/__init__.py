"""What is measured. Each module has one workload, `run` of which returns its results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.clock import Table
    from benchmarks.contenders import Spec

__all__ = ["Plan", "Result"]


@dataclass(frozen=True)
class Plan:
    """How much is measured, where, and who takes part.

    Attributes
    ----------
    specs : list of Spec
        The contenders that can run here.
    place : Path
        The directory below which everything is written.
    where : str
        What the report calls that directory.
    first : bool
        Whether it is the first of the places; what depends little on the place is measured there only.
    scale : float
        1 for the full sizes.
    rounds : int
        How many interleaved rounds.
    seconds : float
        How long a contender may take for a phase before it leaves the rounds that remain.
    clock : {"wall", "cpu"}
        Which clock's times are shown.
    syncs : bool
        Whether synchronisations are counted.
    cold : bool
        Whether the system's caches may be dropped to measure reading without them.
    huge : bool
        Whether an array of 3 GiB is stored.
    tell : callable
        Takes a line of progress.
    """

    specs: list[Spec]
    place: Path
    where: str
    first: bool
    scale: float
    rounds: int
    seconds: float
    clock: str
    syncs: bool
    cold: bool
    huge: bool
    tell: Callable[[str], None]

    def size(self, full: int, least: int = 1) -> int:
        """Return `full`, scaled."""
        return max(least, round(full * self.scale))

    def taking_part(self, workload: str) -> list[Spec]:
        """Return the contenders of a workload."""
        return [spec for spec in self.specs if workload in spec.workloads]


@dataclass
class Result:
    """What one workload gave in one place.

    Attributes
    ----------
    workload, where : str
        Which, and in which place.
    title : str
        A heading.
    table : Table
        Times, by operation and contender.
    unit : tuple of str and float
        How times are shown: a unit and how many there are in a second.
    specs : dict of str to Spec
        The contenders by their keys.
    floors : dict of str to str
        Whom a contender is compared with, where this is not its own floor.
    labels : dict of str to str
        Names of what is measured that is no contender.
    syncs : dict of str to dict of str to float
        Synchronisations an operation, by operation and contender.
    notes : list of str
        What a reader should know.
    """

    workload: str
    where: str
    title: str
    table: Table = field(default_factory=dict)
    unit: tuple[str, float] = ("µs", 1e6)
    specs: dict[str, Spec] = field(default_factory=dict)
    floors: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    syncs: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def floor(self, key: str) -> str:
        """Return whom a contender is compared with."""
        return self.floors.get(key) or self.specs[key].floor

    def label(self, key: str) -> str:
        """Return a contender's name."""
        return self.labels.get(key) or self.specs[key].label
