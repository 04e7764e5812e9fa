"""Ctrl-C at every line that writes to a store of GC3Pie."""

import os
from itertools import count

import pytest

from gc3store import make_store
from tests.interrupting import interrupted

#: Where records take their places; and all that a step comes by.
PLACES = (
    "gc3store.engine.transaction",
    "gc3store.gc3pie.connections",
    "gc3store.gc3pie.directory",
    "gc3store.gc3pie.table",
)
STEPS = ("gc3store.engine.identity", "gc3store.engine.writer", "gc3store.gc3pie.backend", *PLACES)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["fs", "jobs.db"])
@pytest.mark.parametrize(
    ("modules", "step"),
    [
        pytest.param(PLACES, False, id="places"),
        pytest.param(STEPS, False, id="steps", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
        pytest.param(STEPS, True, id="transaction", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_wherever_it_comes(samples, name, modules, step):
    """What is there can be read, objects have no IDs that do not exist, and saving them again is no conflict."""
    import ising

    store, other = (make_store(samples / name, durable=False) for _ in range(2))
    sweep = ising.TemperatureSweep(4, [1.0], "/tmp/out")
    sweep.sweeps = sweep.tasks[0].sweeps = 0
    ids = [store.save(sweep), sweep.tasks[0].persistent_id]
    count_before = len(other)

    def save():
        if step:
            with store.transaction():
                store.save(sweep)
        else:
            store.save(sweep)

    for number in count(1):
        new = ising.IsingRun(8, float(number), output_dir="/tmp/out")
        sweep.tasks[1:] = [new]
        sweep.sweeps = sweep.tasks[0].sweeps = number
        going_on = interrupted(modules, number, save)
        known = getattr(new, "persistent_id", None)
        assert known is None or other.load(known, fresh=True).temperature == number
        seen = other.load(ids[0], fresh=True)
        assert len(seen.tasks) == 1 or seen.tasks[1].temperature == number
        assert len(other) == count_before + (known is not None)
        if name == "jobs.db":
            assert seen.sweeps == seen.tasks[0].sweeps == (number if known else 0)
        sweep.sweeps = sweep.tasks[0].sweeps = 0
        assert store.save(sweep) == ids[0]
        seen = other.load(ids[0], fresh=True)
        assert (seen.sweeps, seen.tasks[0].sweeps, seen.tasks[1].temperature) == (0, 0, number)
        sweep.tasks[1:] = []
        store.save(sweep)
        store.remove(new.persistent_id)
        assert len(other) == count_before
        if name == "fs":
            assert not any(file.endswith(".OLD") for file in os.listdir(samples / name))
        if not going_on:
            break
    assert number > 50
