"""The objects that are stored; nothing but the standard library is imported here."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["Job", "Plain", "describes", "fill", "sample_for_pickling"]

_STATES = ("TERMINATED", "TERMINATED", "TERMINATED", "RUNNING", "SUBMITTED", "NEW", "STOPPED")


class Plain:
    """A class without any features, pickled by reference to its name."""


class Job(Plain):
    """A job as a plain class; contenders whose classes need a base have their own."""


def fill(job: Any, number: int) -> Any:
    """Make `job` the batch job with the given number: some 700 bytes as a pickle."""
    name = f"ising-L{8 << number % 5}-{number:07}"
    job.jobname = name
    job.executable = "/usr/local/bin/ising"
    job.arguments = ["ising", "--size", str(8 << number % 5), "--beta", f"{0.3 + number % 100 / 500:.4f}"]
    job.inputs = {f"/home/ana/sweep/{name}.toml": "run.toml", "/home/ana/sweep/lattice.npz": "lattice.npz"}
    job.outputs = {"result.csv": "result.csv", "run.log": "run.log"}
    job.output_dir = f"/home/ana/sweep/results/{name}"
    job.requested_cores = 1 + number % 4
    job.requested_memory = 2048
    job.state = _STATES[number % len(_STATES)]
    job.returncode = 0 if number % 9 else 1
    job.timestamps = {
        "NEW": 1700000000.5 + number,
        "SUBMITTED": 1700000001.5 + number,
        "RUNNING": 1700000300.25 + number,
        "TERMINATED": 1700004000.125 + number,
    }
    job.used_cpu_time = 3699.875 - number % 17
    job.energy = -1.7455 + number % 1000 / 1e4
    job.info = f"Submitted to cluster 'lyra' as {number}.lyra"
    job.magnetisation = [number % 7 / 7, number % 11 / 11, number % 13 / 13]
    return job


def describes(job: Any, number: int) -> bool:
    """Whether `job` is the one that `fill` made with `number`."""
    expected = vars(fill(Plain(), number))
    return all(getattr(job, key) == value for key, value in expected.items())


class Particle:
    """An instance with a few attributes, of which there are many."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.position = (number * 0.5, number * 0.25)
        self.kind = "spin"


def sample_for_pickling(name: str, scale: float) -> Any:
    """Return one of the objects whose pickling is timed, `scale` times the full size."""
    if name == "1M ints":
        return list(range(int(1_000_000 * scale)))
    if name == "200k dicts":
        return [{"index": i, "beta": i * 0.5, "done": i % 2 == 0} for i in range(int(200_000 * scale))]
    if name == "100k instances":
        return [Particle(i) for i in range(int(100_000 * scale))]
    if name == "one job":
        return fill(Job(), 1)
    raise ValueError(f"There is no sample {name!r}.")


JOB_SIZE = len(pickle.dumps(fill(Job(), 1), protocol=5))
