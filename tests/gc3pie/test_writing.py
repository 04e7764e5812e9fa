"""What is saved to a store of GC3Pie in place, read back by GC3Pie itself."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from gc3store import make_store
from gc3store.errors import ConflictError, ObjectNotFoundError, SaveError, StoreUnavailableError
from gc3store.gc3pie import numbers

SAMPLES = Path(__file__).parents[1] / "data" / "gc3pie"


def original(path):
    """GC3Pie's own store in a directory."""
    from gc3libs.persistence.filesystem import FilesystemStore

    return FilesystemStore(str(path))


def files(place):
    found = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def rows(path):
    connection = sqlite3.connect(path)
    found = {row[0]: row for row in connection.execute("SELECT * FROM store")}
    connection.close()
    return found


def new_run(temperature=4.25):
    import ising

    return ising.IsingRun(8, temperature, output_dir="/tmp/out")


def test_only_what_was_changed_is_written(samples):
    folder = samples / "fs"
    before = files(folder)
    store = make_store(folder)
    study = store.load("FiniteSizeStudy.24")
    assert store.save(study) == "FiniteSizeStudy.24"
    assert files(folder) == before
    run = study.tasks[1].tasks[2]
    run.magnetization = -1.0
    run.changed = True
    store.save(study)
    after = files(folder)
    assert run.changed is False
    assert {name for name in before if before[name] != after[name]} == {run.persistent_id}
    assert set(after) == set(before)
    again = original(folder).load("FiniteSizeStudy.24")
    assert again.tasks[1].tasks[2].magnetization == -1.0
    assert again.tasks[1].tasks[2].persistent_id == run.persistent_id


def test_gc3pie_loads_what_is_new(samples):
    import ising

    folder = samples / "fs"
    store = make_store(folder)
    shared = new_run()
    sweep = ising.TemperatureSweep(4, [1.0, 2.0], "/tmp/out")
    sweep.tasks.append(shared)
    study = ising.FiniteSizeStudy([sweep, shared], jobname="new-study")
    id_ = store.save(study)
    assert study.persistent_id == id_
    assert not study.changed
    theirs = original(folder)
    assert id_ in theirs.list()
    loaded = theirs.load(id_)
    assert type(loaded.persistent_id).__name__ == "Id"
    assert loaded.jobname == "new-study"
    assert loaded.tasks[0].tasks[2] is loaded.tasks[1]
    assert [task.temperature for task in loaded.tasks[0].tasks] == [1.0, 2.0, 4.25]
    assert len(theirs.list()) == 23 + 5
    loaded.tasks[1].energy = 12.0
    theirs.save(loaded.tasks[1])
    assert store.load(shared.persistent_id).energy == 12.0


def test_replacing_and_removing(sample):
    store = make_store(sample.path)
    run_id = store.references(store.references(sample.root)[0])[0]
    run = new_run(9.0)
    store.replace(run_id, run)
    assert run.persistent_id == run_id
    assert make_store(sample.path).load(run_id).temperature == 9.0
    with pytest.warns(UserWarning, match="will refer to what is gone"):
        store.remove(run_id)
    assert run_id not in store
    assert not hasattr(run, "persistent_id")
    with pytest.raises(ObjectNotFoundError):
        store.remove(run_id)
    assert len(make_store(sample.path)) == 22


@pytest.mark.filterwarnings("ignore::gc3store.errors.DanglingReferenceWarning")
def test_what_was_removed_does_not_come_back_from_a_backup(samples):
    folder = samples / "fs"
    path = folder / "IsingRun.30"
    shutil.copyfile(path, f"{path}.OLD")  # as GC3Pie leaves it when it is killed
    store = make_store(folder)
    store.remove("IsingRun.30")
    assert not [name for name in os.listdir(folder) if name.startswith("IsingRun.30")]
    assert "IsingRun.30" not in make_store(folder)
    with pytest.raises(ObjectNotFoundError):
        store.load("IsingRun.30")
    with pytest.raises(Exception, match=r"IsingRun\.30"):
        original(folder).load("IsingRun.30")


def test_a_removal_can_be_undone(sample):
    store = make_store(sample.path)
    run_id = store.list(cls="IsingRun")[5]
    jobname = store.load(run_id).jobname
    data = store.export(run_id)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.remove(run_id)
    assert store.restore(data) == run_id
    assert store.load(sample.root)
    assert make_store(sample.path).load(run_id).jobname == jobname


def test_a_change_that_somebody_else_made_is_not_overwritten(sample):
    one, other = make_store(sample.path), make_store(sample.path)
    run_id = one.list(cls="IsingRun")[3]
    mine, theirs = one.load(run_id), other.load(run_id)
    mine.energy = 1.0
    one.save(mine)
    theirs.energy = 2.0
    with pytest.raises(ConflictError):
        other.save(theirs)
    assert other.load(run_id).energy == 1.0
    with pytest.raises(ConflictError):
        one.replace(run_id, new_run(), expected=17)
    one.replace(run_id, new_run(), expected=one.describe(run_id).revision)


def test_numbers_are_those_of_gc3pie(sample):
    from gc3libs.utils import progressive_number

    store = make_store(sample.path)
    given = [int(id_.rpartition(".")[2]) for id_ in store.list()]
    for _ in range(3):
        given.append(int(store.save(new_run()).rpartition(".")[2]))
        given.append(progressive_number())
    given += progressive_number(5)
    ids = store.save_many([new_run(), new_run()])
    given += [int(id_.rpartition(".")[2]) for id_ in ids]
    store.remove(ids[-1])
    given.append(int(store.save(new_run()).rpartition(".")[2]))
    assert given == sorted(set(given))


def test_numbers_are_given_once_with_gc3pie_counting_at_the_same_time(samples):
    code = "from gc3libs.utils import progressive_number as n; print([n() for _ in range(20)])"
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    given = []
    threads = [
        threading.Thread(target=lambda: given.extend([numbers.next_numbers(2) for _ in range(20)]))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [number for pair in given for number in pair]
    for child in children:
        every += json.loads(child.communicate(timeout=120)[0])
    assert len(every) == 160
    assert len(set(every)) == 160


def test_a_counter_that_stays_locked_is_an_error_that_says_so(samples, monkeypatch):
    path = os.environ["GC3PIE_ID_FILE"]
    numbers.next_numbers(1)
    Path(path + ".lock").touch()
    monkeypatch.setattr(numbers, "PATIENCE", 0.1)
    with pytest.raises(StoreUnavailableError, match=r"delete .*\.lock"):
        make_store(samples / "fs").save(new_run())
    os.unlink(path + ".lock")
    Path(path).write_text("broken")
    with pytest.raises(StoreUnavailableError, match="does not begin with a number"):
        make_store(samples / "fs").save(new_run())


@pytest.mark.parametrize("value", [[1, 2, 3], {"a": 1}, "text", 3, None])
def test_what_gc3pie_could_not_load_is_refused(sample, value):
    store = make_store(sample.path)
    before = files(sample.path)
    with pytest.raises(
        SaveError, match=r"GC3Pie (loads only objects that hold their ID|could not load an object)"
    ):
        store.save(value)
    assert files(sample.path) == before


def test_a_circle_is_refused_since_gc3pie_could_not_load_it(sample):
    store = make_store(sample.path)
    before = files(sample.path)
    study = store.load(sample.root)
    sweep = study.tasks[0]
    sweep.tasks[0].parent = sweep
    with pytest.raises(SaveError, match="refer to each other in a circle") as caught:
        store.save(study)
    assert caught.value.id in (sweep.persistent_id, sweep.tasks[0].persistent_id)
    one, other = new_run(), new_run()
    one.other, other.other = other, one
    with pytest.raises(SaveError, match="a new IsingRun and a new IsingRun refer to each other"):
        store.save(one)
    assert not hasattr(one, "persistent_id")
    assert files(sample.path) == before


def test_an_object_may_refer_to_itself(sample):
    store = make_store(sample.path)
    run = new_run()
    run.me = run
    id_ = store.save(run)
    again = store.load(id_, fresh=True)
    assert again.me is again
    if sample.name == "fs":
        theirs = original(sample.path).load(id_)
        assert theirs.me is theirs


def test_names_of_classes_may_be_long(samples):
    from gc3libs.persistence.idfactory import Id

    task = new_run()
    theirs = original(samples / "fs")
    for persistent_id in (Id("A" * 200, 123456), Id("é" * 100, 123457)):
        task.persistent_id = persistent_id
        theirs.save(task)
        store = make_store(samples / "fs")
        id_ = str(persistent_id)
        assert store.list()[-1] == id_
        assert store.load(id_).temperature == 4.25
        again = store.load(id_)
        again.temperature = 9.5
        store.save(again)
        theirs.invalidate_cache()
        assert theirs.load(id_).temperature == 9.5


def test_a_failed_save_changes_nothing(sample):
    store = make_store(sample.path)
    before = files(sample.path)
    run = new_run()
    run.bad = (x for x in "abc")
    with pytest.raises(SaveError, match="bad"):
        store.save(run)
    assert run.changed
    assert not hasattr(run, "persistent_id")
    study = store.load(sample.root)
    study.tasks[0].tasks.append(run)
    with pytest.raises(SaveError):
        store.save(study)
    assert files(sample.path) == before


def test_a_step_is_whole_in_a_table(samples):
    store = make_store(samples / "jobs.db")
    before = rows(samples / "jobs.db")
    run = store.load("50")
    with pytest.raises(ZeroDivisionError), store.transaction():
        run.energy = 0.0
        run.changed = True
        store.save(run)
        store.save(new_run())
        raise ZeroDivisionError
    assert rows(samples / "jobs.db") == before
    assert run.changed
    store.save(run)
    assert rows(samples / "jobs.db")[50] != before[50]


def test_a_save_that_is_refused_within_a_step_leaves_nothing(samples):
    path = samples / "jobs.db"
    store, other = make_store(path), make_store(path)
    run, theirs = store.load("50"), other.load("50")
    theirs.energy = 1.0
    other.save(theirs)
    before = rows(path)
    with store.transaction():
        new = new_run()
        new.parent = run
        run.energy = 2.0
        with pytest.raises(ConflictError):
            store.save(new)
        store.save(new_run(8.5))
    assert len(rows(path)) == len(before) + 1
    assert rows(path)[50] == before[50]
    assert not hasattr(new, "persistent_id")


def test_columns_are_kept_and_filled(samples):
    path = samples / "jobs.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("ALTER TABLE store ADD COLUMN remark TEXT")
        connection.execute("UPDATE store SET remark = 'strange' WHERE id = 50")
    connection.close()
    store = make_store(path)
    run = store.load("50")
    run.magnetization = 0.5
    store.save(run)
    id_ = store.save(new_run(7.5))
    by_id = {row[0]: row[2:] for row in rows(path).values()}
    assert by_id[50] == ("TERMINATED", "ising-8x8-T1.50", 1.5, 0.5, "strange")
    assert by_id[int(id_)] == ("NEW", "ising-8x8-T7.50", 7.5, None, None)
    assert store.list(temperature=7.5) == [id_]


def test_plain_objects_of_a_notebook(samples):
    """A class that cannot be imported is stored by value."""
    store = make_store(samples / "fs")
    namespace = {"__name__": "__main__"}
    exec(
        "class Result:\n    def __init__(self, x): self.x = x\n    def twice(self): return 2 * self.x",
        namespace,
    )
    id_ = store.save(namespace["Result"](21))
    assert original(samples / "fs").load(id_).twice() == 42
    assert make_store(samples / "fs").load(id_).twice() == 42


ORIGINAL_SQL = """
import sys
from gc3libs.persistence import make_store
store = make_store("sqlite://" + sys.argv[1])
study = store.load(int(sys.argv[2]))
assert type(study.persistent_id).__name__ == "IntId", type(study.persistent_id)
assert int(study.persistent_id) == int(sys.argv[2])
runs = [run for sweep in study.tasks for run in sweep.tasks]
print(len(runs), [run.temperature for run in runs], [int(r.persistent_id) for r in runs])
runs[0].energy = 77.0
runs[0].changed = True
print(store.save(runs[0]))
import ising
print(store.save(ising.IsingRun(4, 6.5, output_dir="/tmp/out")))
"""


def test_gc3pies_own_sql_store_loads_and_goes_on(samples, old_gc3pie):
    import ising

    path = samples / "jobs.db"
    store = make_store(path)
    study = store.load("47")
    study.tasks[0].tasks[0].temperature = 3.75
    store.save(study)
    ours = store.save(ising.FiniteSizeStudy([ising.TemperatureSweep(4, [1.0], "/tmp/out")], jobname="ours"))
    for root, count in (("47", "20"), (ours, "1")):
        out = subprocess.run(
            [old_gc3pie, "-c", ORIGINAL_SQL, str(path), root],
            env={**os.environ, "PYTHONPATH": str(SAMPLES)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        ).stdout.splitlines()
        assert out[0].startswith(count)
        theirs = out[2]
        assert store.load(theirs).temperature == 6.5
        assert int(store.save(new_run())) > int(theirs)
    assert study.tasks[0].tasks[0].temperature == 3.75
    assert store.load("47").tasks[0].tasks[0].energy == 77.0
    assert store.load("47").tasks[0].tasks[0].temperature == 3.75


HOLDER = """
import os, sys, time
from gc3store.gc3pie import numbers
with numbers._locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(1000)
"""


def test_the_lock_on_numbers_of_a_process_that_was_killed(samples, monkeypatch):
    first = numbers.next_numbers(1)
    path = os.environ["GC3PIE_ID_FILE"]
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with monkeypatch.context() as patch:
            patch.setattr(numbers, "PATIENCE", 1.5)
            with pytest.raises(StoreUnavailableError, match=r"locked for more than 1\.5 seconds"):
                numbers.next_numbers(1)  # it is alive
        assert os.path.exists(path + ".lock")
        holder.kill()
    assert numbers.next_numbers(1) == [first[0] + 1]
    assert os.listdir(os.path.dirname(path)) == ["next_id.txt"]
