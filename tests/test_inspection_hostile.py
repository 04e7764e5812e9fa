"""Pickles made to attack whoever reads them: no import, no call, no hang, no flood."""

import importlib.util
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
    [
        ("small", 500, 0, 1),
        ("large", 40, 0, 1),
        ("columns", 15, 0, 1),
        *(("shared", 40, first, 2) for first in range(2)),
    ],
)
def test_hostile_streams_do_nothing(group, least, first, step):
    # In a process of its own, with limits of memory and of the stack.
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
        assert seconds < 15, f"{name} took {seconds:.0f} s"  # of the processor; most take less than one


def test_what_differs_is_held_up_to_a_limit():
    # Each of a hundred thousand places refers to one long text, and all are different on the other side.
    import resource

    from gc3store.inspection import differences, read

    spec = importlib.util.spec_from_file_location("hostile_columns", PROGRAM.with_name("hostile_columns.py"))
    streams = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(streams)
    stream = dict(streams.columns())["a hundred thousand times one of the texts"]
    left, right = read(stream), read(stream.replace(b"x" * 100, b"y" * 100))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = differences(left, right)
    assert found
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kilobytes
    # The same bytes as the only element of each of many arrays.
    element = streams.text("C") + b"tR"
    dtype = b"cnumpy\ndtype\n(" + streams.text("S1000000") + b"\x89\x88tR"

    def arrays(letter):
        data = b"B" + (1_000_000).to_bytes(4, "little") + letter * 1_000_000 + streams.put(0) + b"0"
        made = b"cnumpy._core.numeric\n_frombuffer\n(" + streams.get(0) + dtype + b"(K\x01t" + element
        return read(b"\x80\x04" + data + b"(" + made * 3000 + b"t.")

    assert 1 < len(differences(arrays(b"x"), arrays(b"y"))) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000


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
