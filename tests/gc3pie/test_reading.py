"""Stores of GC3Pie, opened in place, looked at and loaded."""

import os
import pickle
import sqlite3
import subprocess
import sys

import pytest

from gc3store import make_store
from gc3store.errors import (
    CorruptRecordError,
    DanglingReferenceError,
    DanglingReferenceWarning,
    NotSupportedError,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from gc3store.gc3pie.directory import GC3PieDirectory
from gc3store.gc3pie.table import GC3PieTable

LOOK = """
import sys
for name in ("gc3libs", "ising"):
    sys.modules[name] = None  # as if it were not installed
from gc3store import make_store
store = make_store(sys.argv[1])
records = list(store.records())
assert len(store) == len(records) == len(store.list()) == 23
for record in records:
    assert record.state == "TERMINATED" and record.size > 600
    described = store.describe(record.id)
    assert described.cls == record.cls and described.size == record.size
assert store.facets("cls") == {
    "ising.IsingRun": 20, "ising.TemperatureSweep": 2, "ising.FiniteSizeStudy": 1}
table = store.table(cls="IsingRun", order="-size", limit=3)
assert list(table["size"]) == sorted((r.size for r in records if r.class_name == "IsingRun"), reverse=True)[:3]
root = sys.argv[2]
sweeps = store.references(root)
assert [len(store.references(id_)) for id_ in sweeps] == [10, 10]
assert store.referrers(sweeps[0]) == [root]
assert len(store.export(root)) > store.describe(root).size
for id_ in store:
    store.verify(id_)
"""


def test_looking_needs_no_class(sample, untouched):
    subprocess.run([sys.executable, "-c", LOOK, str(sample.path), sample.root], check=True, timeout=120)


def test_the_whole_study_is_loaded_from_its_root(sample, untouched):
    store = make_store(sample.path)
    study = store.load(sample.root)
    assert str(study.persistent_id) == study._id == sample.root
    runs = [run for sweep in study.tasks for run in sweep.tasks]
    assert [len(sweep.tasks) for sweep in study.tasks] == [10, 10]
    assert len({id(run) for run in runs}) == 20
    assert [run.execution.exitcode for run in runs].count(1) == 2
    cold = [run.magnetization for run in runs if 0 < run.temperature < 2]
    hot = [run.magnetization for run in runs if run.temperature > 3]
    assert min(cold) > 0.9 > 0.4 > max(hot)
    assert store.load(runs[3].persistent_id) is runs[3]
    assert store.load(sample.root) is study
    again = store.load(sample.root, fresh=True)
    assert again is not study
    assert again.tasks[0].tasks[0].jobname == runs[0].jobname


def test_ids_are_plain_texts(sample):
    """GC3Pie's own compare equal to their text, and have another hash."""
    store = make_store(sample.path)
    study = store.load(sample.root)
    ids = set(store.list())
    for obj in (study, *study.tasks, *study.tasks[0].tasks):
        assert type(obj.persistent_id) is str
        assert obj.persistent_id in ids
    if sample.name != "jobs.db":
        from gc3libs.persistence.idfactory import Id

        prefix, _, number = sample.root.partition(".")
        theirs = Id(prefix, int(number))
        assert theirs not in ids
        assert store.load(theirs) is study


def test_a_child_is_complete_before_its_parent(sample, monkeypatch):
    import ising

    seen = []

    def detach(self):
        seen.append((type(self).__name__, "jobname" in vars(self)))

    monkeypatch.setattr(ising.IsingRun, "detach", detach)
    make_store(sample.path).load(sample.root)
    assert len(seen) >= 40  # at least once for itself, and once for its collection
    assert all(complete for _, complete in seen)


def test_each_level_is_one_question_to_the_database(samples, monkeypatch):
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    store = make_store(samples / "jobs.db")
    statements = []

    def note(connection, cursor, statement, *rest):
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        store.load("47")
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(statements) == 3, statements


def test_columns_of_a_table_are_fields(samples, untouched):
    store = make_store(f"sqlite:///{samples}/jobs.db")
    assert store.columns == ("jobname", "temperature", "magnetization")
    assert store.list(jobname="sweep-L8") == ["48"]
    assert store.list(query="temperature:>3", order="-temperature", limit=2) == ["58", "69"]
    table = store.table(columns=["temperature", "magnetization"], cls="IsingRun")
    assert table.loc["50", "magnetization"] == pytest.approx(0.983125)
    assert store.describe("50").columns["temperature"] == 1.5
    assert make_store(f"sqlite:///{samples}/jobs.db#table=store").list() == store.list()
    assert make_store(samples / "jobs.db", table_name="store").list() == store.list()


def test_a_session_knows_its_tasks(samples, untouched):
    store = make_store(samples / "session")
    assert isinstance(store, GC3PieDirectory)
    assert store.session.task_ids == ("FiniteSizeStudy.1",)
    assert store.session.created is not None
    assert store.session.finished is not None
    assert make_store(samples / "fs").session is None


def test_a_session_whose_store_is_gone_says_so(samples):
    os.rename(samples / "session" / "jobs", samples / "elsewhere")
    with pytest.raises(OSError, match="which does not exist here; copy that to"):
        make_store(samples / "session")


def test_a_session_in_which_nothing_was_saved_says_so(samples):
    from gc3libs.session import Session

    Session(str(samples / "empty"))
    with pytest.raises(OSError, match="has no tasks yet"):
        make_store(samples / "empty")


def test_a_database_in_write_ahead_mode_is_read_without_a_trace(samples):
    path = samples / "jobs.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    before = path.read_bytes()
    store = make_store(path)
    assert len(store.list()) == 23
    store.load("50")
    assert sorted(p.name for p in samples.iterdir() if p.name.startswith("jobs")) == ["jobs.db"]
    assert path.read_bytes() == before


def test_what_others_write_meanwhile_is_seen(samples):
    store = make_store(samples / "fs")
    assert len(store) == 23
    run = store.load("IsingRun.27")
    data = (samples / "fs" / "IsingRun.27").read_bytes()
    (samples / "fs" / "IsingRun.27").unlink()
    assert len(store) == 22
    with pytest.raises(ObjectNotFoundError):
        store.load("IsingRun.27")
    (samples / "fs" / "IsingRun.27").write_bytes(data.replace(b"TERMINATED", b"TERMINATEX"))
    assert store.describe("IsingRun.27").state == "TERMINATEX"
    assert store.list(state="TERMINATEX") == ["IsingRun.27"]
    assert store.load("IsingRun.27") is not run
    table = make_store(samples / "jobs.db")
    assert table.list(state="TERMINATED") == [str(n) for n in range(47, 70)]
    connection = sqlite3.connect(samples / "jobs.db")
    with connection:
        connection.execute("UPDATE store SET magnetization = 7 WHERE id = 50")
        connection.execute("DELETE FROM store WHERE id = 51")
    connection.close()
    assert table.list(magnetization=7) == ["50"]
    assert "51" not in table


def test_a_record_that_is_just_being_replaced_is_read_from_its_backup(samples):
    store = make_store(samples / "fs")
    path = samples / "fs" / "IsingRun.30"
    path.rename(f"{path}.OLD")
    assert "IsingRun.30" in store.list()
    assert store.load("IsingRun.30").jobname
    path.write_bytes(path.with_name("IsingRun.30.OLD").read_bytes()[:100])
    assert store.describe("IsingRun.30").error is None
    assert store.load("IsingRun.30", fresh=True).jobname


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"\xff" + d[1:]])
def test_a_damaged_record_is_listed_with_the_reason(samples, damage):
    path = samples / "fs" / "IsingRun.28"
    path.write_bytes(damage(path.read_bytes()))
    store = make_store(samples / "fs")
    assert len(store.list()) == 23
    assert "damaged" in store.describe("IsingRun.28").error
    assert [r.id for r in store.records() if r.error] == ["IsingRun.28"]
    with pytest.raises(CorruptRecordError, match=r"IsingRun\.28"):
        store.load("IsingRun.28", fresh=True)
    with pytest.raises(CorruptRecordError):
        store.verify("IsingRun.28")
    assert store.load("IsingRun.29").jobname
    path.unlink()
    with pytest.raises(DanglingReferenceError) as caught:
        store.load("TemperatureSweep.25")
    assert caught.value.missing == "IsingRun.28"


@pytest.mark.parametrize("value", ["'K\x01.'", "CAST(x'ff41' AS TEXT)", "1000000000000"])
def test_what_is_no_pickle_in_a_table_is_one_damaged_record(samples, value):
    path = samples / "jobs.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"UPDATE store SET data = {value} WHERE id = 50")
    connection.close()
    store = make_store(path)
    assert len(store.list()) == 23
    assert [r.id for r in store.records() if r.error] == ["50"]
    assert "in place of the bytes of a pickle" in store.describe("50").error
    for step in (store.verify, store.load):
        with pytest.raises(CorruptRecordError, match="in place of the bytes"):
            step("50")
    assert store.load("51").jobname
    with pytest.warns(DanglingReferenceWarning):
        store.remove("50")
    assert len(store.list()) == 22


class Attack:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_looking_runs_nothing(samples, tmp_path):
    mark = tmp_path.parent / "it-ran"
    attack = pickle.dumps(Attack(f"touch '{mark}'"))
    (samples / "fs" / "Evil.99").write_bytes(attack)
    connection = sqlite3.connect(samples / "jobs.db")
    with connection:
        connection.execute("INSERT INTO store (id, data, state) VALUES (99, ?, 'NEW')", (attack,))
    connection.close()
    for name, id_ in (("fs", "Evil.99"), ("jobs.db", "99")):
        store = make_store(samples / name)
        assert id_ in store.list()
        assert len(store.table()) == 24
        store.describe(id_)
        store.verify(id_)
        store.export(id_)
        store.facets("cls")
    assert not mark.exists()


def test_other_files_are_no_objects(samples):
    for name in ("README.txt", "notes", "IsingRun.x", "a-b.3", "IsingRun.26.bak"):
        (samples / "fs" / name).write_bytes(b"whatever")
    assert len(make_store(samples / "fs")) == 23


def test_read_only_refuses_to_write(sample):
    from gc3store.errors import ReadOnlyError

    store = make_store(sample.path, read_only=True)
    study = store.load(sample.root)
    with pytest.raises(ReadOnlyError):
        store.save(study)
    with pytest.raises(ReadOnlyError):
        store.remove(sample.root)


def test_there_is_no_place_for_labels(sample, untouched):
    store = make_store(sample.path)
    assert not store.offers("update")
    with pytest.raises(NotSupportedError, match="no place for names"):
        store.update(sample.root, name="the study")
    study = store.load(sample.root)
    with pytest.raises(NotSupportedError):
        store.save(study, name="the study")


def test_a_store_travels_to_another_process(sample):
    store = make_store(sample.path)
    again = pickle.loads(pickle.dumps(store))
    assert again.list() == store.list()
    assert again.uuid == store.uuid


def test_a_table_that_has_not_changed_is_not_read_again(samples, monkeypatch):
    path = samples / "jobs.db"
    os.utime(path, (1_700_000_000, 1_700_000_000))
    store = make_store(path)
    assert len(store.list()) == 23

    def refuse(index):
        raise AssertionError("it was read")

    with monkeypatch.context() as patch:
        patch.setattr(type(store.backend.index), "_stamps", refuse)
        assert len(store.list(cls="IsingRun")) == 20
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE store SET state = 'LOST' WHERE id = 50")
    assert store.list(jobname="ising-8x8-T1.50") == ["50"]
    with connection:
        connection.execute("DELETE FROM store WHERE id = 50")
    connection.close()
    assert len(store.list()) == 22


def test_many_records_are_cached_outside_the_store(samples, monkeypatch):
    from gc3store.gc3pie import records

    data = (samples / "fs" / "IsingRun.27").read_bytes()
    folder = samples / "many"
    folder.mkdir()
    for i in range(600):
        (folder / f"IsingRun.{i}").write_bytes(data)
        os.utime(folder / f"IsingRun.{i}", (1_700_000_000, 1_700_000_000))
    assert len(make_store(folder).list(cls="IsingRun")) == 600
    before = sorted(p.name for p in folder.iterdir())
    calls = []
    monkeypatch.setattr(records, "_summary", lambda *args: calls.append(args))
    again = make_store(folder)
    assert again.facets("state") == {"TERMINATED": 600}
    assert calls == []
    assert sorted(p.name for p in folder.iterdir()) == before


def test_a_table_has_one_address_and_one_identity_however_it_is_opened(samples, monkeypatch):
    monkeypatch.chdir(samples)
    stores = [make_store("jobs.db"), make_store("sqlite:///jobs.db"), GC3PieTable("sqlite:///jobs.db")]
    assert [store.url for store in stores] == [f"sqlite:///{samples}/jobs.db", *["sqlite:///jobs.db"] * 2]
    assert len({store.uuid for store in stores}) == 1


def test_a_database_that_a_killed_process_was_writing_to(tmp_path):
    path = tmp_path / "jobs.db"
    program = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("CREATE TABLE store (id INTEGER PRIMARY KEY, data BLOB, state VARCHAR(128))")
connection.execute("INSERT INTO store VALUES (1, x'80044b012e', 'NEW')")
connection.execute("PRAGMA cache_size=1")
connection.execute("BEGIN")
for _ in range(2000):
    connection.execute("INSERT INTO store (data, state) VALUES (zeroblob(1000), 'NEW')")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    journal = tmp_path / "jobs.db-journal"
    left = path.read_bytes(), journal.read_bytes()
    with pytest.raises(
        StoreUnavailableError, match="a process that was killed; open it once without read_only"
    ):
        make_store(path, read_only=True).list()
    assert (path.read_bytes(), journal.read_bytes()) == left
    with make_store(path) as store:
        assert type(store) is GC3PieTable
        assert store.list() == ["1"]
    assert not journal.exists()
