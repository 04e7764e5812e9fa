"""A power cut while a store of GC3Pie is written to in place: what was said to be stored is there, and whole."""

import os
import shutil
from contextlib import suppress

import pytest

from gc3store import make_store
from gc3store.testing import FreshProcess
from tests.disk import OPTIONS, Disk
from tests.tracing import trace, wait_at

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def live(path, root, gate):
    """Change one job, replace another, save a new one and remove one; mark each step when it has returned."""
    import ising

    wait_at(gate)
    store = make_store(path)
    ids = store.references(store.references(root)[0])[:3]
    run = store.load(ids[0])

    def change():
        run.energy = 5.0
        run.changed = True
        store.save(run)

    steps = [
        change,
        lambda: store.replace(ids[1], ising.IsingRun(4, 9.0, output_dir="/tmp/out")),
        lambda: store.save(ising.IsingRun(4, 6.5, output_dir="/tmp/out")),
        lambda: store.remove(ids[2]),
    ]
    given = None
    for number, step in enumerate(steps):
        given = step() or given
        with suppress(FileNotFoundError):
            os.mkdir(f"/mark/{number}")
    return [*ids, given]


def left_by(disk, folder):
    """Write down what is certain to be left of a disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in disk.after_power_cut(None).items():
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


@pytest.mark.parametrize("sample", ["fs", "jobs.db"], indirect=True)
@pytest.mark.filterwarnings("ignore::gc3store.errors.DanglingReferenceWarning")
def test_what_was_saved_is_there(sample, samples, tmp_path_factory):
    place = tmp_path_factory.mktemp("power cut")
    disk, copy = Disk(samples), place / "copy"
    gate = place / "gate"
    os.mkfifo(gate)
    child = FreshProcess(live, str(sample.path), sample.root, str(gate))
    lines = trace(child, gate, *OPTIONS)
    changed, replaced, removed, new = child.result(60)
    done = -1
    for mark in disk.play(lines):
        done = done if mark is None else int(mark)
        left_by(disk, copy)
        with make_store(copy / sample.name) as store:
            assert set(store.list()) - {removed, new} == set(make_store(sample.path).list()) - {new}
            for id_ in store.list():
                store.verify(id_)
            if done >= 0:
                assert store.load(changed).energy == 5.0
            if done >= 1:
                assert store.load(replaced).temperature == 9.0
            if done >= 2:
                assert store.load(new).temperature == 6.5
            if done >= 3:
                assert removed not in store
    assert done == 3
