"""The jobs of the quickstart: simulations of the Ising model, each in a process of its own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from math import exp

from gc3store import Persistable


class IsingRun(Persistable):
    """A simulation of the two-dimensional Ising model, and its results.

    Parameters
    ----------
    size : int
        Spins along one side of the square lattice.
    temperature : float
        Temperature, in units of J/k_B.
    steps : int
        Monte Carlo steps per spin; the first half lets the lattice settle.
    """

    def __init__(self, size: int, temperature: float, steps: int = 1000) -> None:
        self.size = size
        self.temperature = temperature
        self.steps = steps
        self.state = "NEW"
        self.exitcode: int | None = None
        self.message = ""
        self.magnetization: float | None = None
        self.energies: list[float] = []

    def run(self) -> IsingRun:
        """Run the simulation in a separate Python process, and take in what it prints."""
        command = [sys.executable, __file__, str(self.size), str(self.temperature), str(self.steps)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        self.exitcode = process.returncode
        if process.returncode:
            self.state = "FAILED"
            self.message = process.stderr.strip().splitlines()[-1]
        else:
            self.state = "TERMINATED"
            result = json.loads(process.stdout)
            self.magnetization, self.energies = result["magnetization"], result["energies"]
        return self


class Sweep(Persistable):
    """Runs of one lattice at several temperatures."""

    def __init__(self, runs: list[IsingRun]) -> None:
        self.runs = runs


def simulate(size: int, temperature: float, steps: int) -> dict[str, object]:
    """Return the magnetization per spin, and the energy per spin after each step."""
    if temperature <= 0:
        sys.exit(f"the temperature must be positive, not {temperature}")
    chance = random.Random(round(1000 * temperature) + size)
    spins = [[1] * size for _ in range(size)]
    accept = {change: exp(-change / temperature) for change in (4, 8)}
    energies, magnetizations = [], []
    for step in range(steps):
        for _ in range(size * size):
            i, j = chance.randrange(size), chance.randrange(size)
            row, spin = spins[i], spins[i][j]
            around = spins[i - 1][j] + spins[(i + 1) % size][j] + row[j - 1] + row[(j + 1) % size]
            change = 2 * spin * around
            if change <= 0 or chance.random() < accept[change]:
                row[j] = -spin
        bonds = sum(
            spins[i][j] * (spins[i - 1][j] + spins[i][j - 1]) for i in range(size) for j in range(size)
        )
        energies.append(-bonds / size**2)
        if step >= steps // 2:
            magnetizations.append(abs(sum(map(sum, spins))) / size**2)
    return {"magnetization": sum(magnetizations) / len(magnetizations), "energies": energies}


if __name__ == "__main__":
    side, degrees, length = sys.argv[1:]
    json.dump(simulate(int(side), float(degrees), int(length)), sys.stdout)
