"""Pickles made to attack whoever reads them: no import, no call, no hang, no flood."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "hostile_pickles.py"
ENTRIES = PROGRAM.with_name("hostile_entries.py")


@pytest.mark.parametrize(
    ("group", "least", "first", "step"),
    [("small", 500, 0, 1), ("large", 40, 0, 1), *(("shared", 20, first, 4) for first in range(4))],
)
def test_hostile_streams_do_nothing(group, least, first, step):
    # In a process of its own, with limits of memory and of processor time.
    done = subprocess.run(
        [sys.executable, PROGRAM, group, str(first), str(step)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout)
    assert len(results) >= least
    for name, looks, seconds, events in results:
        assert not events, f"{name} did {events}"
        for look in looks:
            assert look in ("value", "CorruptRecordError", "InspectionError"), f"{name}: {look}"
        assert seconds < 60, f"{name} took {seconds:.0f} s"


@pytest.mark.parametrize("step", [40, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_hostile_streams_do_nothing_in_any_store_by_any_way_of_looking(tmp_path, step):
    done = subprocess.run(
        [sys.executable, ENTRIES, tmp_path, str(step)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout)
    assert len(results["counts"]) == (4 if step == 1 else 2)
    assert min(results["counts"]) >= 500 // step
    assert results["found"] == []
