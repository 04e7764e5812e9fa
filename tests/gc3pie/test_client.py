"""GC3Pie itself, its sessions and its engine, on our stores."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

import gc3store.gc3pie
from gc3store import FilesystemStore, Persistable, SqlStore, make_store
from gc3store.errors import ColumnWarning, ObjectNotFoundError, OptionError
from gc3store.gc3pie.directory import GC3PieDirectory
from tests import servers

HERE = Path(__file__).parent


@pytest.fixture
def installed(samples):
    gc3store.gc3pie.install()
    yield samples
    gc3store.gc3pie.uninstall()


@pytest.fixture(params=["directory", "database", *servers.KINDS])
def session(request, installed):
    from gc3libs.session import Session

    path = str(installed / "new")
    if request.param in servers.KINDS:
        return Session(path, store_or_url=servers.new_place(request.param))
    return Session(path, store_or_url=None if request.param == "directory" else f"sqlite://{path}.db")


def reopened(session):
    from gc3libs.session import Session

    return Session(session.path)


def task(name, **attributes):
    from gc3libs import Task

    return Task(jobname=name, **attributes)


def test_installing_and_taking_it_back(samples):
    import gc3libs.persistence
    import gc3libs.persistence.filesystem
    import gc3libs.persistence.sql
    import gc3libs.persistence.store

    places = [
        (gc3libs.persistence, "make_store"),
        (gc3libs.persistence, "FilesystemStore"),
        (gc3libs.persistence.store, "make_store"),
        (gc3libs.persistence.filesystem, "FilesystemStore"),
        (gc3libs.persistence.sql, "SqlStore"),
    ]
    before = [getattr(*place) for place in places]
    gc3store.gc3pie.install()
    gc3store.gc3pie.install()
    assert all(getattr(*place) is not old for place, old in zip(places, before, strict=True))
    store = gc3libs.persistence.make_store(str(samples / "here"))
    assert isinstance(store, gc3libs.persistence.store.Store)
    assert repr(store) == repr(make_store(samples / "here"))
    gc3store.gc3pie.uninstall()
    gc3store.gc3pie.uninstall()
    assert [getattr(*place) for place in places] == before


def test_new_places_are_ours_and_old_ones_are_used_in_place(installed):
    from gc3libs.persistence import make_store as theirs

    for place, cls in (
        (f"{installed}/new", FilesystemStore),
        (f"file://{installed}/new", FilesystemStore),
        (f"sqlite://{installed}/new.db", SqlStore),
        (f"{installed}/fs", GC3PieDirectory),
    ):
        assert type(theirs(place)._gc3store) is cls
    store = theirs(f"sqlite://{installed}/jobs.db#table=store", extra="ignored, as GC3Pie does")
    assert store.load(47).tasks[0].persistent_id == "48"
    assert store.list(cls="FiniteSizeStudy") == ["47"]


def test_a_session_is_found_again(session):
    one, two = task("one", result=1), task("two")
    ids = [session.add(one), session.add(two)]
    assert not one.changed
    one.result = 2
    one.changed = True
    session.save_all()
    assert not one.changed
    again = reopened(session)
    assert again.list_ids() == [str(id_) for id_ in ids]
    assert {t.jobname for t in again} == {"one", "two"}
    assert next(t.result for t in again if t.jobname == "one") == 2
    assert again.store.load(ids[0]) is again.tasks[ids[0]]
    again.remove(ids[0])
    assert again.store.list() == [ids[1]]
    assert reopened(session).list_ids() == [ids[1]]
    watched = make_store(session.path)
    assert watched.session.task_ids == (ids[1],)
    assert watched.list() == [ids[1]]


def test_what_is_unchanged_is_not_written_again(session):
    from gc3libs.workflow import ParallelTaskCollection

    tasks = ParallelTaskCollection([task("a"), task("b")], jobname="both")
    id_ = session.add(tasks)
    store = make_store(session.path)
    before = {r.id: r.revision for r in store.records()}
    assert set(before.values()) == {1}
    for child in tasks.tasks:
        child.changed = True  # a mark without a change
    session.save_all()
    session.store.save(tasks)
    assert not tasks.changed
    loaded = reopened(session)
    loaded.store.save(loaded.tasks[id_])
    assert {r.id: r.revision for r in store.records()} == before
    tasks.tasks[0].note = "changed, without a mark"
    session.store.save(tasks)
    assert {r.id for r in store.records() if r.revision == 2} == {tasks.tasks[0].persistent_id}


def test_children_are_removed_with_their_collection(session):
    from gc3libs.workflow import SequentialTaskCollection

    id_ = session.add(SequentialTaskCollection([task("a"), task("b")], jobname="both"))
    assert len(session.store.list()) == 3
    session.remove(id_)
    assert session.store.list() == []
    session.destroy()
    assert not os.path.exists(session.path)


def test_errors_are_gc3pies_and_ours(session):
    import gc3libs.exceptions

    with pytest.raises(gc3libs.exceptions.LoadError) as caught:
        session.load("Task.99")
    assert isinstance(caught.value, ObjectNotFoundError)
    assert "Task.99" in str(caught.value)
    assert caught.value.id == "Task.99"


def test_around_a_fork(session):
    id_ = session.add(task("before"))
    session.store.pre_fork()
    child = os.fork()
    if child == 0:
        try:
            session.store.post_fork()
            assert session.store.load(id_).jobname == "before"
            session.add(task("child"))
            os._exit(0)
        except BaseException:
            os._exit(1)
    session.store.post_fork()
    assert os.waitpid(child, 0)[1] == 0
    session.add(task("after"))
    assert len(session.store.list()) == 3


def test_ids_may_have_a_prefix(installed):
    from gc3libs.persistence import JobIdFactory
    from gc3libs.persistence import make_store as theirs

    store = theirs(f"{installed}/new", idfactory=JobIdFactory())
    assert store.save(task("x")) == "job.1"
    store.idfactory.reserve(10)


def test_further_columns_are_gc3pies_table(installed):
    import sqlalchemy
    from gc3libs.persistence import make_store as theirs
    from gc3libs.persistence.accessors import GET

    fields = {
        sqlalchemy.Column("jobname", sqlalchemy.String(64)): GET.jobname,
        sqlalchemy.Column("half", sqlalchemy.Float()): lambda obj: obj.whole / 2,
    }
    store = theirs(f"sqlite://{installed}/new.db", extra_fields=fields)
    one, two = store.save(task("x", whole=3)), store.save(task("y"))
    ours = make_store(installed / "new.db")
    assert ours.columns == ("jobname", "half")
    assert ours.list(half=1.5) == [one]
    assert ours.describe(two).columns == {"jobname": "y", "half": None}


@pytest.mark.parametrize("kind", ["directory", "database", *servers.KINDS])
@pytest.mark.parametrize("existing", [False, True])
def test_extra_fields_are_user_columns_of_our_stores(installed, kind, existing):
    import sqlalchemy
    from gc3libs.persistence import make_store as theirs
    from gc3libs.persistence.accessors import GET
    from gc3libs.session import Session

    fields = {
        sqlalchemy.Column("jobname", sqlalchemy.String(64)): GET.jobname,
        "half": lambda obj: obj.whole / 2,
    }
    if not existing:  # columns of SQLAlchemy in a new database are a table of GC3Pie
        fields = {getattr(key, "name", key): value for key, value in fields.items()}
    if kind in servers.KINDS:
        url = servers.new_place(kind)
    else:
        url = str(installed / "jobs") if kind == "directory" else f"sqlite://{installed}/jobs2.db"
    if existing:
        with ours_at(url) as ours:
            ours.save("before")
    session = Session(str(installed / "new"), store_or_url=url, extra_fields=fields)
    with pytest.warns(ColumnWarning, match="'half' of Task.* stays empty"):
        ids = [session.add(task("one", whole=3)), session.add(task("two"))]
    store = session.store
    assert isinstance(store._gc3store, (FilesystemStore, SqlStore))
    assert store.list(half=1.5) == store.list(jobname="one") == [ids[0]]
    frame = store.table()
    assert list(frame.loc[ids, "jobname"]) == ["one", "two"]
    assert frame.loc[ids[0], "half"] == 1.5
    again = theirs(url, extra_fields=fields)
    again.save(task("three", whole=8))
    with ours_at(url) as ours:
        assert ours.columns == ("half", "jobname")
        assert [ours.describe(id_).columns["jobname"] for id_ in ours.list(half=4.0)] == ["three"]


def ours_at(url):
    return make_store(url.replace("sqlite://", "sqlite:///"))


def test_extra_fields_that_cannot_be_are_refused_or_ignored_as_gc3pie_does(installed):
    import sqlalchemy
    from gc3libs.persistence import make_store as theirs

    table = f"sqlite://{installed}/jobs.db"
    with pytest.raises(OptionError, match="has no column 'nowhere'"):
        theirs(table, extra_fields={"nowhere": str})
    with pytest.raises(OptionError, match="cannot be called 'size'"):
        theirs(str(installed / "new"), extra_fields={sqlalchemy.Column("size", sqlalchemy.Integer()): len})
    store = theirs(str(installed / "fs"), extra_fields={"jobname": str})
    assert store.columns == ()


def test_extra_fields_go_to_other_processes(installed):
    import pickle

    import sqlalchemy
    from gc3libs.persistence import make_store as theirs

    fields = {sqlalchemy.Column("half", sqlalchemy.Float()): lambda obj: obj.whole / 2}
    store = theirs(f"sqlite://{installed}/new.db", extra_fields=fields)
    other = pickle.loads(pickle.dumps(store._gc3store))
    id_ = other.save(task("x", whole=3))
    assert other.list(half=1.5) == [id_]


@pytest.mark.parametrize("name", ["new", "new.db"])
def test_objects_of_gc3pie_and_ours_in_one_graph(samples, name):
    from gc3libs.workflow import ParallelTaskCollection

    class Analysis(Persistable):
        pass

    globals()["Analysis"] = Analysis
    Analysis.__qualname__ = "Analysis"
    store = make_store(f"sqlite:///{samples}/{name}" if name.endswith(".db") else samples / name)
    shared = task("shared")
    analysis = Analysis()
    analysis.input = ParallelTaskCollection([shared, task("other")], jobname="both")
    analysis.best = shared
    shared.analysis = analysis  # a circle
    id_ = store.save(analysis)
    assert len(store) == 4
    assert shared.persistent_id == shared._id
    assert not shared.changed
    again = store.load(id_, fresh=True)
    assert again.best is again.input.tasks[0]
    assert again.best.analysis is again
    assert again.best.jobname == "shared"
    assert make_store(store.url).load(shared.persistent_id).analysis.input.jobname == "both"
    shared.answer = 42
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.save(shared)
        shared.changed = True
        raise ZeroDivisionError
    assert shared.changed
    del globals()["Analysis"]


@pytest.fixture(params=["directory", "database", "in place", *servers.KINDS])
def kind(request):
    return request.param


@pytest.fixture
def place(kind, samples, tmp_path_factory):
    """Where an engine keeps its tasks, as GC3Pie writes it."""
    if kind in servers.KINDS:
        return servers.new_place(kind)
    if kind == "in place":
        return str(samples / "fs")
    return "" if kind == "directory" else f"sqlite://{tmp_path_factory.mktemp('database')}/jobs.db"


def test_a_real_engine_is_killed_and_goes_on(samples, kind, place, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("work")
    before = set(make_store(samples / "fs").list()) if kind == "in place" else set()
    program = [sys.executable, "-W", "ignore", str(HERE / "engine.py"), str(workdir), place]
    places = [str(HERE.parents[1]), str(HERE.parent / "data" / "gc3pie")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}

    def start():
        with (workdir / "log").open("a") as log:
            return subprocess.Popen(program, env=environment, cwd=workdir, stdout=log, stderr=log)

    stores = []

    def runs():
        """What an analyst sees meanwhile, in another process, who opened the session once."""
        if not (workdir / "session" / "session_ids.txt").exists():
            return []
        if not stores:
            try:
                stores.append(make_store(workdir / "session", read_only=True))
            except OSError:
                return []  # nothing was saved yet
        [watched] = stores
        records = [r for r in watched.records() if r.id not in before]
        assert not [r for r in records if r.error]
        # It is written to meanwhile, and nothing goes away.
        table = watched.table(cls="IsingRun")
        ended = watched.list(query="class:IsingRun state:TERMINATED")
        found = watched.facets("cls")
        assert set(table.index) | set(ended) <= set(watched.list(cls="IsingRun"))
        assert (
            found.get("ising.IsingRun", 0) >= len(table) >= sum(r.class_name == "IsingRun" for r in records)
        )
        return [r.state for r in records if r.class_name == "IsingRun"]

    pytest.importorskip("pandas")  # now, since importing it takes its time

    first = start()
    try:
        deadline = time.monotonic() + 120
        while runs().count("TERMINATED") < 2:
            assert first.poll() is None, (workdir / "log").read_text()
            assert time.monotonic() < deadline, (workdir / "log").read_text()
            time.sleep(0.1)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert runs().count("TERMINATED") < 6, "it was too fast to be killed in the middle"
    second = start()
    while second.poll() is None:
        runs()
        time.sleep(0.5)
    assert second.returncode == 0, (workdir / "log").read_text()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = make_store(workdir / "session")
        [root] = store.session.task_ids
        study = store.load(root)
    assert store.session.finished is not None
    assert len(set(store.list()) - before) == 9
    found = {(run.size, run.temperature): run for sweep in study.tasks for run in sweep.tasks}
    assert len(found) == 6
    for (_, temperature), run in found.items():
        assert run.execution.state == "TERMINATED"
        assert run.execution.exitcode == (1 if temperature < 0 else 0)
        assert (run.magnetization is None) == (temperature < 0)
    assert found[40, 1.5].magnetization > found[40, 3.5].magnetization
