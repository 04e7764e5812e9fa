"""Looking inside stored objects: inspect, imports, trust, renamed and missing classes, tables of attributes."""

import datetime as dt
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path

import pandas as pd
import pytest

import gc3store
from gc3store import make_store
from gc3store.errors import (
    InvalidQueryError,
    MissingClassError,
    OptionError,
    StoreWarning,
    UnpicklableError,
    UntrustedError,
)
from gc3store.inspection import Inert, class_path, parts, read, text
from gc3store.inspection.jobs import Job
from gc3store.paths import MISSING, evaluate, parse
from gc3store.testing import reads

DATA = Path(__file__).parent / "data" / "gc3pie"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["directory", "database"])
def store(request, tmp_path):
    url = tmp_path / "store" if request.param == "directory" else f"sqlite:///{tmp_path}/store.db"
    with make_store(url) as opened:
        yield opened


@pytest.fixture
def model(monkeypatch):
    """A module with classes, which can be taken away."""
    module = types.ModuleType("gone_model")
    source = """
import gc3store

class Run:
    def __init__(self, size, **rest):
        self.size = size
        self.__dict__.update(rest)

class Study(gc3store.Persistable):
    def __init__(self, *runs):
        self.runs = list(runs)

class Part(gc3store.Persistable):
    def __init__(self, energy):
        self.energy = energy

class Listing(list):
    pass

class Slotted:
    __slots__ = ("size",)

def act():
    raise SystemExit("called")
"""
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "gone_model", module)
    return module


def again(store, **options):
    """Open the same store as another process would."""
    url = store.url
    return make_store(url, **options)


def test_inspect_walks_like_the_object(store, model):
    id_ = store.save(model.Study(model.Part(1.5), model.Part(2.5)))
    plain = store.save({"run": model.Run(3, results={"energy": -1.5}), "when": dt.date(2026, 1, 2)})
    del sys.modules["gone_model"]
    study = store.inspect(id_)
    assert class_path(study) == "gone_model.Study"
    assert study.runs[1].energy == 2.5  # another record, read when it is asked for
    found = store.inspect(plain)
    assert found["run"].results["energy"] == -1.5
    assert found["when"] == dt.date(2026, 1, 2)
    assert "gone_model.Run" in text(found)
    assert "gone_model" not in sys.modules


def test_imports_tell_what_loading_would_do(store, model, monkeypatch):
    id_ = store.save([model.Run(1), dt.date(2026, 1, 2), model.act, print])
    found = {entry.path: entry for entry in store.imports(id_)}
    assert found["gone_model.Run"].kind == "class"
    assert found["gone_model.Run"].found is True
    assert found["gone_model.act"].kind == "function"
    assert found["datetime.date"].kind == "known"
    assert found["builtins.print"].kind == "acts"
    monkeypatch.delitem(sys.modules, "gone_model")
    found = {entry.path: entry for entry in store.imports(id_)}
    assert found["gone_model.Run"].found is False
    assert "not found here" in str(found["gone_model.Run"])


def test_trust_nothing(store, model):
    id_ = store.save(model.Run(7))
    with again(store, trust="nothing") as careful:
        with pytest.raises(UntrustedError, match="inspect") as caught:
            careful.load(id_)
        assert caught.value.id == id_
        assert careful.inspect(id_).size == 7
        assert careful.describe(id_).cls == "gone_model.Run"


def test_trust_names(store, model):
    run = store.save(model.Run(7, when=dt.date(2026, 1, 2)))
    act = store.save([model.act])
    acting = store.save([print])
    with again(store, trust=["gone_model"]) as careful:
        assert careful.load(run).when == dt.date(2026, 1, 2)
        # functions are never implied by their module
        with pytest.raises(UntrustedError, match=r"gone_model\.act"):
            careful.load(act)
        with pytest.raises(UntrustedError, match=r"builtins\.print"):
            careful.load(acting)
    with again(store, trust=["gone_model.Run", model.act]) as careful:
        assert careful.load(run).size == 7
        assert careful.load(act) == [model.act]
    with again(store, trust=["gone_model.Study"]) as careful, pytest.raises(UntrustedError):
        careful.load(run)
    with pytest.raises(OptionError, match="trust"):
        again(store, trust="noting")


def test_untrusted_names_are_not_even_imported(store, model, tmp_path, monkeypatch):
    id_ = store.save([model.Run(1)])
    del sys.modules["gone_model"]
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "gone_model.py").write_text("raise SystemExit('imported')")
    with again(store, trust=["collections"]) as careful, pytest.raises(UntrustedError):
        careful.load(id_)


def test_renamed_classes(store, model):
    id_ = store.save(model.Run(7))
    moved = types.ModuleType("moved_model")
    moved.Job = type("Job", (), {"__module__": "moved_model"})
    sys.modules["moved_model"] = moved
    del sys.modules["gone_model"]
    try:
        gc3store.rename("gone_model.Run", "moved_model.Job")
        with again(store) as other:
            assert type(other.load(id_)) is moved.Job
        with pytest.raises(OptionError, match="circle"):
            gc3store.rename("moved_model.Job", "gone_model.Run")
    finally:
        gc3store.rename("gone_model.Run", None)
        del sys.modules["moved_model"]
    with again(store) as other, pytest.raises(MissingClassError):
        other.load(id_)


def test_a_failed_load_says_what_is_missing(store, model):
    id_ = store.save(model.Run(7))
    del sys.modules["gone_model"]
    with again(store) as other:
        with pytest.raises(MissingClassError) as caught:
            other.load(id_)
        sentence = str(caught.value)
    assert caught.value.missing == "gone_model.Run"
    version = ".".join(map(str, sys.version_info[:3]))
    for part in ("Run", "gone_model", version, f"inspect({id_!r})"):
        assert part in sentence, sentence


def test_placeholders_carry_and_keep_everything(store, model):
    slotted = model.Slotted()
    slotted.size = 4
    listing = model.Listing([1, 2])
    obj = model.Study(model.Part(1.5))
    obj.extra = [model.Run(3), slotted, listing, model.act, (1, 2), {1, 2}]
    id_ = store.save(obj)
    before = store.export(id_)
    saved = sys.modules.pop("gone_model")
    with again(store) as other:
        found = other.load(id_, missing="placeholder")
        assert found.runs[0].energy == 1.5
        assert found.extra[0].size == 3
        assert found.extra[1].size == 4
        assert list(found.extra[2]._Placeholder__items) == [1, 2]
        assert "gone_model.Study" in repr(found)
        # Unchanged, it is written byte for byte.
        assert other.save(found) == id_
        assert other.export(id_) == before
        found.extra[0].size = 5
        with pytest.raises(UnpicklableError, match=r"obj is a placeholder for gone_model\.Study"):
            other.save(found)
        assert other.export(id_) == before
    sys.modules["gone_model"] = saved
    with again(store) as other:
        back = other.load(id_)
        assert type(back) is model.Study
        assert type(back.extra[0]) is model.Run
        assert (back.extra[0].size, back.extra[1].size, back.runs[0].energy) == (3, 4, 1.5)
        assert type(back.extra[2]) is model.Listing
        assert back.extra[2] == [1, 2]
        assert back.extra[3] is model.act
        assert back.extra[4:] == [(1, 2), {1, 2}]


def test_unchanged_placeholders_are_written_byte_for_byte_elsewhere(store, model, tmp_path):
    id_ = store.save(model.Run(3, data=b"x" * 100_000))
    stream = store.backend.read_one(id_).open().stream
    del sys.modules["gone_model"]
    with again(store) as other, make_store(tmp_path / "other") as target:
        copy = target.save(other.load(id_, missing="placeholder"))
        written = target.backend.read_one(copy).open().stream
        assert bytes(written) == bytes(stream)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_is_made_with_keywords_is_seen_as_what_it_is(protocol, monkeypatch, tmp_path):
    module = types.ModuleType("gone_model")
    source = """
class Keyed:
    def __new__(cls, *, size):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"size": self.size}
"""
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "gone_model", module)
    for n in range(1, 5):
        made = module.Keyed(size=n)
        made.size = n
        (tmp_path / f"Keyed.{n}").write_bytes(pickle.dumps(made, protocol))
    monkeypatch.delitem(sys.modules, "gone_model")
    with make_store(tmp_path) as store:
        assert set(store.table(columns=["cls", ".size"]).itertuples(index=False, name=None)) == {
            ("gone_model.Keyed", n) for n in range(1, 5)
        }
        assert set(store.attributes()["cls"]) == {"gone_model.Keyed"}
        placeholder = store.load("Keyed.3", missing="placeholder")
        assert type(placeholder).__qualname__ == "Keyed"
        assert placeholder.size == 3
        with pytest.raises(MissingClassError) as caught:
            store.load("Keyed.3")
        assert caught.value.missing == "gone_model.Keyed"
        store.replace("Keyed.2", placeholder)
    assert parts(read((tmp_path / "Keyed.2").read_bytes())).kwargs == {"size": 3}
    monkeypatch.setitem(sys.modules, "gone_model", module)
    with make_store(tmp_path) as store:
        assert [type(store.load(f"Keyed.{n}")) for n in (2, 3)] == [module.Keyed] * 2
        assert store.load("Keyed.2").size == 3


def test_what_refers_to_nothing_can_be_loaded(store, model):
    part = model.Part(1)
    id_ = store.save(model.Study(part))
    with pytest.warns(gc3store.DanglingReferenceWarning):
        store.remove(part.persistent_id)
    with again(store) as other:
        found = other.load(id_, missing="placeholder")
        assert "no longer in the store" in repr(found.runs[0])
    with pytest.raises(OptionError):
        store.load(id_, missing="placehoder")


# Tables.


def test_attributes_become_typed_columns(store, model):
    when = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    ids = [
        store.save(model.Run(n, ratio=n / 2, ok=n > 1, label=f"run {n}", when=when, results={"energy": -n}))
        for n in range(3)
    ]
    ids.append(store.save(model.Study(model.Part(9.5))))
    table = store.table(
        columns=[
            "cls",
            ".size",
            "ratio",
            "ok",
            "label",
            "when",
            "results.energy",
            "runs[0].energy",
            "results",
        ]
    )
    assert set(ids) <= set(table.index)
    runs = table.loc[ids[:3]]
    assert list(runs[".size"]) == [0, 1, 2]
    assert str(table[".size"].dtype) == "Int64"
    assert str(table["ratio"].dtype) == "float64"
    assert str(table["ok"].dtype) == "boolean"
    assert table["label"].dtype == "str"
    assert runs["when"].iloc[0] == when
    assert list(runs["results.energy"]) == [0, -1, -2]
    assert table.loc[ids[3], "runs[0].energy"] == 9.5
    assert pd.isna(table.loc[ids[3], ".size"])
    assert runs["results"].iloc[1] == {"energy": -1}
    assert "size" in store.table(columns=["size"])  # the catalogue's own


def test_what_was_read_is_cached_until_it_changes(store, model, monkeypatch):
    obj = model.Study(model.Part(1))
    obj.size = 1
    id_ = store.save(obj)
    other = store.save({"size": 2})
    columns = [".size"]
    first = store.table(columns=columns)
    assert list(first.loc[[id_, other], ".size"]) == [1, 2]
    with reads(store) as read:
        assert store.table(columns=columns).equals(first)
        assert not read
        obj.size = 5
        store.save(obj)
        read.clear()
        assert store.table(columns=columns).loc[id_, ".size"] == 5
        assert read == [id_]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("temprature", "temperature"),
        (".temprature", "temperature"),
        ("results.enregy", "results.energy"),
        ("result.energy", "results.energy"),
        ("seed", "results.seed"),
        ("runs[0].enerjy", "runs[0].energy"),  # in another record
        ("run[0].energy", "runs[0].energy"),
        ("results['two word']", 'results["two words"]'),
    ],
)
def test_columns_that_no_object_has_but_something_alike(store, model, written, meant):
    store.save(model.Run(1, temperature=1.5, results={"energy": -1, "two words": 2, "seed": 3}))
    store.save(model.Study(model.Part(1.5)))
    for _ in range(2):  # the second time, from what is cached
        with pytest.warns(StoreWarning) as caught:
            table = store.table(columns=[written])
        assert table[written].isna().all()
        (warning,) = caught
        assert f"did you mean {meant!r}?" in str(warning.message)


def test_texts_with_lone_surrogates_are_kept(store, model, monkeypatch):
    # Arrow, which pandas keeps texts in where it is installed, refuses them.
    odd = "\udcff\ud800"
    ids = [store.save(model.Run(1, label=text)) for text in (odd, "plain")]
    for _ in range(2):
        table = store.table(columns=["label"])
        assert list(table.loc[ids, "label"]) == [odd, "plain"]
        assert table["label"].dtype == "str"

    def refused(values, dtype):
        if isinstance(dtype, str):
            odd.encode()
        return pd.Series(values, dtype=dtype)

    from gc3store.tables.attributes import texts

    assert texts([odd, None], refused).isna().tolist() == [False, True]


def test_columns_that_no_object_has(store, model):
    store.save(model.Run(1))
    with pytest.warns(StoreWarning, match="attributes\\(\\) tells"):
        table = store.table(columns=["temprature"])
    assert table["temprature"].isna().all()
    with pytest.raises(InvalidQueryError, match="'state'"):
        store.table(columns=["stat"])
    with pytest.raises(InvalidQueryError, match="not a path"):
        store.table(columns=["a..b"])


def test_a_hint_is_worth_no_failure_and_no_large_record(store, model, monkeypatch):
    large = store.save(model.Run(1, temperature=1.5, data=[0.5] * 300_000))
    with reads(store) as read:
        for _ in range(2):
            with pytest.warns(StoreWarning, match="attributes\\(\\) tells"):
                store.table(columns=["temprature"])
    assert read == [large]  # once for the column, never for the hint
    store.remove(large)
    id_ = store.save(model.Run(1, temperature=1.5))

    def fails(*_):
        raise OSError("the disk is gone")

    assert store.table(columns=[".size"]).loc[id_, ".size"] == 1
    with pytest.warns(StoreWarning, match="temperature"):
        store.table(columns=["temprature"])
    monkeypatch.setattr(store.backend, "read", fails)
    with pytest.warns(StoreWarning, match="attributes\\(\\) tells"):
        store.table(columns=["temprature"])


def test_attributes_tell_what_there_is(store, model):
    for n in range(3):
        store.save(model.Run(n, results={"energy": 0.5} if n else None))
    found = store.attributes(cls="Run").set_index("path")
    assert found.loc["size", ["count", "of", "types"]].tolist() == [3, 3, "int"]
    assert found.loc["results", "types"] == "dict, None"
    assert found.loc["results.energy", "count"] == 2


def test_looking_writes_nothing(tmp_path, monkeypatch):
    import hashlib
    import shutil

    place = tmp_path / "gc3pie"
    shutil.copytree(DATA, place)
    monkeypatch.delitem(sys.modules, "ising", raising=False)  # from tests that do load them

    def state():
        files = sorted(p for p in place.rglob("*") if p.is_file())
        return {p: (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files}

    before = state()
    for where in (place / "fs", place / "jobs.db", place / "session"):
        with make_store(where, read_only=True) as store:
            ids = store.list()
            assert len(ids) == 23
            table = store.table(columns=["execution.exitcode", "job.outcome", "temperature"])
            assert (table["job.outcome"] == "exit code 1").sum() == 2
            assert "ising" not in sys.modules
            store.attributes()
            for id_ in ids:
                store.inspect(id_)
                store.imports(id_)
    assert state() == before


# Jobs.


def test_jobs_tell_what_became_of_them():
    with make_store(DATA / "fs", read_only=True) as store:
        failed, good = Job(store.inspect("IsingRun.26")), Job(store.inspect("IsingRun.27"))
        study = Job(store.inspect("FiniteSizeStudy.24"))
        assert (failed.state, failed.exitcode, failed.signal, failed.returncode) == ("TERMINATED", 1, 0, 256)
        assert (failed.outcome, failed.failed, good.outcome, good.failed) == (
            "exit code 1",
            True,
            "ok",
            False,
        )
        assert good.resource == "localhost"
        assert next(iter(good.times)) == "NEW"
        assert good.duration == pytest.approx(sum(good.durations.values()))
        assert study.children == ["TemperatureSweep.25", "TemperatureSweep.36"]
        table = store.table(
            columns=["execution.returncode", "job.time.RUNNING", "job.children"], cls="IsingRun"
        )
        assert table.loc["IsingRun.26", "execution.returncode"] == 256
        assert (table["job.time.RUNNING"] > 0).all()
        family = store.table(columns=["job.parents", "job.children", "job.resource", "job.signal"])
        assert family.loc["TemperatureSweep.36", "job.parents"] == ["FiniteSizeStudy.24"]
        assert family.loc["TemperatureSweep.36", "job.children"] == [f"IsingRun.{n}" for n in range(37, 47)]
        assert family.loc["FiniteSizeStudy.24", "job.parents"] == []
        assert family.loc["IsingRun.37", "job.children"] == []
        assert (family.loc["IsingRun.37", "job.resource"], family.loc["IsingRun.37", "job.signal"]) == (
            "localhost",
            0,
        )


@pytest.mark.parametrize("place", [DATA / "fs", DATA / "jobs.db"], ids=["directory", "database"])
def test_attributes_tell_what_jobs_say_of_themselves(place):
    with make_store(place, read_only=True) as store:
        found = store.attributes()
        runs = found[found["cls"] == "ising.IsingRun"].set_index("path")
        for path, types, example in (
            ("job.outcome", "str", "'exit code 1'"),
            ("job.failed", "bool", "True"),
            ("job.message", "str, None", "'Remote job exited with code 1'"),
            ("job.children", "list", "[]"),
            ("execution.returncode", "int", "256"),
        ):
            assert runs.loc[path, ["count", "of", "types", "example"]].tolist() == [20, 20, types, example]
        assert runs.loc["job.time.RUNNING", "types"] == "float"
        assert runs.loc["job.started", "types"] == "datetime.datetime"
        study = found[found["cls"] == "ising.FiniteSizeStudy"].set_index("path")
        assert "job.time.NEW" not in study.index
        assert study.loc["job.resource", "types"] == "None"
        assert len(eval(study.loc["job.children", "example"])) == 2
        # Each of them can be a column.
        own = [path for path in found["path"].unique() if path.startswith("job.")]
        table = store.table(columns=["cls", *own])
        for (cls, path), row in found.set_index(["cls", "path"]).iterrows():
            if path in own:
                cells = table.loc[table["cls"] == cls, path]
                assert cells.isna().all() == (row["types"] == "None"), path
        for written, meant in (
            ("job.outcom", "job.outcome"),
            ("jobs.parents", "job.parents"),
            ("job.time.RUNING", "job.time.RUNNING"),
            ("execution.exitcod", "execution.exitcode"),
            ("tasks[0].jobnam", "tasks[0].jobname"),
        ):
            with pytest.warns(StoreWarning, match=f"did you mean '{re.escape(meant)}'"):
                store.table(columns=[written])


def test_what_is_no_job_has_nothing_of_the_kind(store, model):
    store.save(model.Run(1, execution=model.Run(2)))
    assert not store.attributes()["path"].str.startswith("job").any()


@pytest.mark.parametrize("dangling", [False, True])
def test_references_in_cells_are_shown_and_not_followed(store, model, dangling, monkeypatch):
    part = model.Part(1.5)
    id_ = store.save(model.Study(part))
    if dangling:
        with pytest.warns(gc3store.DanglingReferenceWarning):
            store.remove(part.persistent_id)
    table = store.table(columns=["runs[0]", "runs"])
    with reads(store) as read:
        assert f"→ {table.loc[id_, 'runs[0]'].id}" in repr(table)
        assert "→" in table._repr_html_()
        reference = table.loc[id_, "runs[0]"]
        for name in ("_repr_html_", "_ipython_display_", "_typ", "__array__", "__array_interface__"):
            assert name == "_repr_html_" or not hasattr(reference, name)
        assert "→" in reference._repr_html_()
        assert not read
        if not dangling:
            assert reference.energy == 1.5
            assert read


def test_what_looks_like_a_frame_to_pandas_is_shown(store, model):
    # pandas asks objects for a ``_typ``, and treats those that have one as its own.
    run = model.Run(1, _typ="dataframe", name="odd")
    id_ = store.save([run, types.SimpleNamespace(_typ="series", x=1)])
    table = store.table(columns=["[0]", "[1]"])
    assert "gone_model.Run" in repr(table)
    assert vars(store.inspect(id_)[0])["_typ"] == "dataframe"
    assert store.inspect(id_)[1].x == 1


def test_parents_follow_when_others_change(store, model):
    part = model.Part(1.5)
    study = model.Study(part)
    store.save(study)
    columns = ["cls", "job.parents"]
    assert store.table(columns=columns).loc[part.persistent_id, "job.parents"] == [study.persistent_id]
    study.runs.clear()
    store.save(study)  # the part's own record is as it was
    assert store.table(columns=columns).loc[part.persistent_id, "job.parents"] == []


@pytest.mark.parametrize(
    ("exitcode", "signal", "outcome"),
    [
        (0, 0, "ok"),
        (3, 0, "exit code 3"),
        (-1, 9, "signal 9 (SIGKILL)"),
        (0, 121, "cancelled"),
        (None, None, "unknown"),
    ],
)
def test_outcomes_in_words(exitcode, signal, outcome):
    from gc3store.inspection.values import Dict, Name, Parts

    run = Inert(
        Parts(
            cls=Name("gc3libs", "Run"),
            states=[Dict({"_state": "TERMINATED", "_exitcode": exitcode, "_signal": signal})],
        )
    )
    assert Job(Inert(Parts(states=[Dict({"execution": run})]))).outcome == outcome


def _as_job(run):
    """Return the pickle of a task of GC3Pie, with these attributes in its execution."""
    state = pickle.dumps(run, 2)[2:-1]
    execution = b"cgc3libs\nRun\n)\x81" + state + b"b"
    # Its memo is numbered from 0 on, and nothing else is in the memo.
    return b"\x80\x02cising\nRun\n)\x81}(X\x09\0\0\0execution" + execution + b"X\x05\0\0\0tasksK\x07ub."


@pytest.mark.parametrize(
    "run",
    [
        {
            "timestamp": {
                "NEW": 10**400,
                "RUNNING": float("nan"),
                "TERMINATED": float("inf"),
                "X": -1e300,
                "Y": True,
            }
        },
        {
            "timestamp": {"NEW": 0, "RUNNING": float("nan"), "TERMINATED": 75},
            "_exitcode": 10**5000,
            "_signal": 10**400,
        },
        {"timestamp": [1], "history": 3, "_exitcode": "1", "_state": 3, "resource_name": b"x"},
        {"history": {"messages": [{"a": 1}, 3, None, [], "text", (4,), ["said"]]}},
        {"history": {"messages": {"0": 1}}},
    ],
)
def test_jobs_that_say_odd_things(run, tmp_path):
    from gc3store.inspection import html
    from gc3store.jupyter.show.job_facts import facts, lines

    (tmp_path / "Run.1").write_bytes(_as_job({"_state": "TERMINATED", **run}))
    with make_store(tmp_path, read_only=True) as store:
        shown = store.inspect("Run.1")
        assert "gc3libs.Run" in text(shown)
        html(shown), list(facts(store, "Run.1", shown)), list(lines(shown))
        table = store.table(
            columns=["job.outcome", "job.duration", "job.message", "job.exitcode", "job.started"]
        )
        assert len(table) == 1
        store.attributes()
    job = Job(shown)
    assert job.exitcode is None
    assert job.signal is None
    assert job.duration in (None, 75)
    assert job.message in (None, "said")


# Paths.


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", [1, {"b c": 2}]),
        ("a[0]", 1),
        ("a[-1]['b c']", 2),
        ('a[1]["b c"]', 2),
        (".d.e", 3),
        ("d.e.f", MISSING),
        ("a[7]", MISSING),
        ("g", MISSING),
        ("a.b", MISSING),
        ("t[1]", "y"),
    ],
)
def test_paths(path, value):
    obj = types.SimpleNamespace(a=[1, {"b c": 2}], d={"e": 3}, t=("x", "y"))
    assert evaluate(path, obj) == value or evaluate(path, obj) is value
    import pickle

    from gc3store.inspection import read

    assert evaluate(path, read(pickle.dumps(obj))) == value or value is MISSING


@pytest.mark.parametrize(
    "path", ["", ".", "a.", "a[", "a[]", "a[b]", "a b", "1a", "a..b", "a[1", "[x]", "a]b", "a[0]b"]
)
def test_what_is_no_path(path):
    with pytest.raises(InvalidQueryError):
        parse(path)


IN_A_NOTEBOOK = """
import enum, sys
import numpy as np
from gc3store import make_store

class Fit:
    pass

class Other:
    pass

class Kind(enum.Enum):
    FAST = 1

with make_store(sys.argv[1]) as store:
    fit, other = Fit(), Other()
    fit.kind, fit.other, fit.array, fit.scalar = Kind.FAST, Other(), np.arange(3), np.float32(2)
    other.kind = 1
    store.save(fit)
    store.save(other)
"""


def test_attributes_of_classes_that_are_written_into_the_pickle(tmp_path):
    subprocess.run([sys.executable, "-c", IN_A_NOTEBOOK, str(tmp_path)], check=True)
    with make_store(tmp_path) as store:
        found = {(row.cls, row.path): (row.types, row.example) for row in store.attributes().itertuples()}
    assert set(found) == {
        ("__main__.Fit", "kind"),
        ("__main__.Fit", "other"),
        ("__main__.Fit", "array"),
        ("__main__.Fit", "scalar"),
        ("__main__.Other", "kind"),
    }
    assert found["__main__.Fit", "kind"][0] == "__main__.Kind"
    assert found["__main__.Fit", "other"][0] == "__main__.Other"
    assert found["__main__.Fit", "array"][0] == "numpy.ndarray"
    assert "0, 1, 2" in found["__main__.Fit", "array"][1]
    assert found["__main__.Fit", "scalar"][1] == "2.0"
    assert found["__main__.Other", "kind"] == ("int", "1")


def test_imports_tell_what_a_renamed_class_loads_as(tmp_path):
    import fractions

    with make_store(tmp_path) as store:
        id_ = store.save([fractions.Fraction(1, 2)])
        try:
            for new, found, kind in (
                ("decimal.Decimal", True, "known"),
                ("os.system", True, "acts"),
                ("none.There", False, "class"),
            ):
                gc3store.rename("fractions.Fraction", new)
                (name,) = store.imports(id_)
                assert (name.path, name.instead, name.found, name.kind) == (
                    "fractions.Fraction",
                    new,
                    found,
                    kind,
                )
                assert new in str(name)
        finally:
            gc3store.rename("fractions.Fraction", None)
        (name,) = store.imports(id_)
        assert (name.instead, name.found) == ("", True)


def test_a_class_is_not_renamed_to_a_module():
    with pytest.raises(OptionError, match="lacks one"):
        gc3store.rename("module.Class", "Class")
