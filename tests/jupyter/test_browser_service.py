"""The kernel side of the browser: requests and replies, without a notebook."""

from __future__ import annotations

import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gc3store import make_store
from gc3store.errors import UsageError
from gc3store.jupyter.catalogue import Catalogue, Selected
from gc3store.jupyter.layout import Layout
from gc3store.jupyter.service import Service
from gc3store.jupyter.wire import MAX_IDS, question
from gc3store.query import Query

from .memory import FourMethods, Lists, MemoryStore

JOBS = Path(__file__).parents[1] / "data" / "gc3pie" / "fs"
NO_QUERY = {"text": "", "filters": {}, "order": ""}


class Trap:
    def __init__(self):
        self.a, self.b = 1, [1, 2]

    def __setstate__(self, state):
        raise AssertionError("loaded")

    def __repr__(self):
        raise AssertionError("shown")


def ask(service, kind, **body):
    """Return the reply to a request, which must survive the way over the wire."""
    reply = service.answer({"kind": kind, **body})
    assert json.loads(json.dumps(reply, allow_nan=False)) == reply
    json.dumps(reply, ensure_ascii=False).encode()
    return reply


def good(service, kind, **body):
    reply = ask(service, kind, **body)
    assert reply["ok"], reply
    return reply


def ids(reply):
    return [row["id"] for row in reply["rows"]]


@pytest.fixture(params=["memory", "sql", "directory"])
def store(request, tmp_path):
    """Stores that can do everything, ours among them."""
    if request.param == "memory":
        yield MemoryStore()
        return
    with make_store(
        f"sqlite:///{tmp_path}/jobs.db" if request.param == "sql" else tmp_path / "jobs"
    ) as store:
        yield store


@pytest.fixture
def full(store):
    """A store with objects of two classes, with names and tags."""
    for n in range(30):
        store.save([n] * n, name=f"Run {n:02}", tags=["even"] if n % 2 == 0 else [])
    for n in range(5):
        store.save({"n": n}, name=f"result {n}")
    return store


@pytest.fixture
def service(full):
    return Service(full, {})


class TestRows:
    def test_window(self, service):
        reply = good(service, "rows", query=NO_QUERY, offset=10, limit=3)
        assert ids(reply) == ["list.11", "list.12", "list.13"]
        assert reply["offset"] == 10
        row = reply["rows"][0]
        assert (row["name"], row["cls"]) == ("Run 10", "builtins.list")
        assert row["tags"] == ["even"]

    def test_window_is_limited(self, full):
        service = Service(full, {})
        reply = good(service, "rows", query=NO_QUERY, offset=0, limit=10**9)
        assert len(reply["rows"]) == 35

    def test_beyond_the_end(self, service):
        assert good(service, "rows", query=NO_QUERY, offset=1000, limit=5)["rows"] == []

    @pytest.mark.parametrize(
        "order", ["name", "-name", "size", "-size", "cls", "-cls", "state", "-modified", "id"]
    )
    def test_pages_neither_repeat_nor_skip(self, service, order):
        query = {**NO_QUERY, "order": order}
        whole = ids(good(service, "rows", query=query, offset=0, limit=100))
        pages = []
        for at in range(0, 36, 4):
            pages += ids(good(service, "rows", query=query, offset=at, limit=4))
        assert pages == whole
        assert len(set(whole)) == 35

    @pytest.mark.parametrize(
        "order", ["", "name", "-name", "size", "-size", "cls", "-cls", "-modified", "id", "-id"]
    )
    @pytest.mark.parametrize("text", ["", "even", "class:list"])
    def test_locate(self, service, order, text):
        query = {"text": text, "filters": {}, "order": order}
        whole = ids(good(service, "rows", query=query, offset=0, limit=100))
        for place in (0, 7, len(whole) - 1):
            reply = good(service, "rows", query=query, offset=0, limit=1, locate=whole[place], **{"from": 0})
            assert reply["at"] == place
            assert ids(reply) == [whole[place]]

    def test_locate_what_is_gone(self, service):
        assert good(service, "rows", query=NO_QUERY, offset=0, limit=1, locate="list.999")["at"] is None

    def test_search_covers_id_name_class_tags(self, service):
        def found(text):
            return len(good(service, "rows", query={**NO_QUERY, "text": text}, offset=0, limit=100)["rows"])

        assert found("LIST.7") == 1
        assert found("run 0") == 14  # of the IDs list.20 and list.30 too
        assert found('"run 0"') == 10
        assert found("even") == 15
        assert found("dict") == 5
        assert found("class:dict") == 5
        assert found("size:>1GB") == 0
        assert found("saved:<9y") == 35

    def test_bad_token_is_a_hint(self, service):
        reply = good(
            service, "rows", query={**NO_QUERY, "text": "size:huge colour:red dict"}, offset=0, limit=100
        )
        assert len(reply["rows"]) == 5
        assert reply["hint"]["token"] in ("size:huge", "colour:red")
        assert reply["words"] == ["dict"]

    def test_a_row_tells_whether_another_question_covers_it(self, service):
        even = {**NO_QUERY, "text": "even"}
        reply = good(service, "rows", query=NO_QUERY, offset=0, limit=4, matchQuery=even)
        assert reply["matches"] == [True, False, True, False]


class TestCounting:
    def test_count(self, service):
        reply = good(service, "count", query={**NO_QUERY, "text": "even"})
        assert (reply["count"], reply["total"]) == (15, 35)

    def test_mark_changes_with_the_store(self, full, service):
        before = good(service, "count", query=NO_QUERY)["changeToken"]
        id_ = full.save(1)
        between = good(service, "count", query=NO_QUERY)["changeToken"]
        full.remove(id_)
        assert before != between

    def test_facets_leave_their_own_filter_out(self, service):
        query = {**NO_QUERY, "filters": {"cls": ["builtins.dict"]}}
        facets = good(service, "facets", query=query)["facets"]
        assert facets["cls"]["values"] == [["builtins.list", 30], ["builtins.dict", 5]]
        assert facets["state"]["values"] == [[None, 5]]

    def test_filters(self, service):
        query = {**NO_QUERY, "filters": {"cls": ["builtins.dict"], "state": [None]}}
        assert len(good(service, "rows", query=query, offset=0, limit=100)["rows"]) == 5

    def test_total(self, service):
        reply = good(service, "total", target={"ids": ["list.1"], "query": {**NO_QUERY, "text": "even"}})
        assert reply["count"] == 14
        assert reply["size"] > 0


class TestDetail:
    def test_no_payload_is_read(self, service):
        if isinstance(service.store, MemoryStore):
            good(service, "detail", id="list.3")
            assert service.store.loads == 0

    def test_what_is_known(self, service):
        detail = good(service, "detail", id="list.3")["detail"]
        row = detail["row"]
        assert (row["id"], row["name"], row["cls"]) == ("list.3", "Run 02", "builtins.list")
        assert detail["references"] == []

    def test_missing(self, service):
        reply = ask(service, "detail", id="list.999")
        assert reply["error"]["type"] == "ObjectNotFoundError"

    def test_preview_loads_only_when_asked(self, service):
        reply = good(service, "preview", id="list.3")
        assert reply["preview"] == "[2, 2]"
        assert reply["code"] == "store.load('list.3')"

    def test_looking_inside_runs_nothing(self, tmp_path):
        with make_store(tmp_path / "jobs") as store:
            id_ = store.save(Trap())
            reply = good(Service(store, {}), "inspect", id=id_)
        assert reply["preview"].splitlines() == ["a = 1", "b = [1, 2]"]
        assert reply["code"] == "store.inspect('Trap.1')"
        assert reply["facts"] == []

    def test_looking_into_what_is_gone_or_cannot_be_looked_into(self, service):
        assert ask(service, "inspect", id="list.999")["error"]["type"] == "ObjectNotFoundError"
        four = FourMethods()
        four.save([1])
        assert ask(Service(four, {}), "inspect", id="list.1")["error"]["type"] == "NotSupportedError"

    def test_what_became_of_a_job(self):
        with make_store(f"file://{JOBS}", read_only=True) as store:
            service = Service(store, {})
            assert service.catalogue.offers["inspect"]
            reply = good(service, "inspect", id="IsingRun.26")
            facts = dict(reply["facts"])
            assert facts["State"] == "TERMINATED"
            assert facts["Outcome"] == "exit code 1"
            assert facts["Exit code"] == "1"
            assert facts["Ran on"] == "localhost"
            assert facts["Duration"].endswith("s")
            assert facts["Ended"].endswith("UTC")
            assert "temperature" in reply["preview"]
            facts = dict(good(service, "inspect", id="FiniteSizeStudy.24")["facts"])
            assert facts["Children"] == "TemperatureSweep.25, TemperatureSweep.36"
            facts = dict(good(service, "inspect", id="TemperatureSweep.25")["facts"])
            assert "IsingRun.26" in facts["Children"]
            assert facts["Parents"] == "FiniteSizeStudy.24"


class TestActions:
    def test_load(self, service):
        reply = good(service, "load", target={"ids": ["list.3"]}, variable="x")
        assert service.namespace == {"x": [2, 2]}
        assert reply["variables"] == ["x"]
        assert reply["message"].startswith("x = list 'list.3' (")
        assert reply["code"] == "x = store.load('list.3')"

    def test_an_existing_variable_is_asked_about(self, service):
        service.namespace["x"] = "mine"
        assert good(service, "check", variable="x") == {
            "ok": True, "valid": True, "exists": True, "type": "str", "variable": "x"
        }  # fmt: skip
        reply = ask(service, "load", target={"ids": ["list.3"]}, variable="x")
        assert reply["error"]["type"] == "VariableExistsError"
        assert service.namespace == {"x": "mine"}
        good(service, "load", target={"ids": ["list.3"]}, variable="x", overwrite=True)
        assert service.namespace == {"x": [2, 2]}

    @pytest.mark.parametrize("name", ["", "2x", "class", "a b", "x;y", "__builtins__"])
    def test_bad_names(self, service, name):
        assert good(service, "check", variable=name)["valid"] is False
        assert not ask(service, "load", target={"ids": ["list.3"]}, variable=name)["ok"]
        assert service.namespace == {}

    @pytest.mark.parametrize("into", ["dict", "variables"])
    def test_load_all_that_match(self, service, into):
        target = {"ids": ["dict.31"], "query": {**NO_QUERY, "text": "class:dict"}}
        assert good(service, "suggest", target=target)["variable"] == "dicts"
        reply = good(service, "load", target=target, variable="d", into=into)
        assert len(reply["ids"]) == 4
        assert len(service.namespace) == (1 if into == "dict" else 4)

    def test_suggestion(self, service):
        assert good(service, "suggest", target={"ids": ["list.3"]})["variable"] == "Run_02"

    def test_save_and_replace(self, service):
        service.namespace["x"] = [1, 2, 3]
        saved = good(service, "save", variable="x", name="three")
        (id_,) = saved["ids"]
        assert service.store.describe(id_).name == "three"
        service.namespace["x"] = [4]
        good(service, "replace", id=id_, variable="x", revision=1)
        assert service.store.load(id_) == [4]

    def test_unpicklable_gives_one_line(self, service):
        service.namespace["x"] = {"lock": threading.Lock()}
        message = ask(service, "save", variable="x")["error"]["message"]
        assert "\n" not in message
        assert "lock" in message

    def test_remove_and_undo(self, service):
        if not service.catalogue.offers["undo"]:
            pytest.skip("this store does not offer undo")
        reply = good(service, "remove", target={"ids": ["list.3", "list.4"]})
        assert good(service, "count", query=NO_QUERY)["count"] == 33
        good(service, "undo", token=reply["undo"])
        assert ids(good(service, "rows", query=NO_QUERY, offset=2, limit=2)) == ["list.3", "list.4"]
        assert not ask(service, "undo", token=reply["undo"])["ok"]

    def test_many_are_asked_about(self):
        store = MemoryStore()
        for _ in range(101):
            store.add()
        service = Service(store, {})
        target = {"ids": [], "query": NO_QUERY}
        assert good(service, "remove", target=target)["confirm"] == 101
        assert len(store) == 101
        store.add()
        assert good(service, "remove", target=target, confirmed=101)["confirm"] == 102
        reply = good(service, "remove", target=target, confirmed=102)
        assert len(store) == 0
        good(service, "undo", token=reply["undo"])
        assert len(store) == 102

    def test_label(self, service):
        reply = good(service, "label", id="list.3", name="new", add=["hot"], drop=["even"])
        assert reply["row"]["name"] == "new"
        assert reply["row"]["tags"] == ["hot"]
        good(service, "undo", token=reply["undo"])
        assert service.store.describe("list.3").name == "Run 02"

    def test_variables(self, service):
        service.namespace.update(x=1, _y=2, json=json)
        assert [v[0] for v in good(service, "variables")["variables"]] == ["x"]


HOSTILE = [
    None, [], 3, "rows", {}, {"kind": None}, {"kind": ["rows"]}, {"kind": "__class__"}, {"kind": "rows"},
    {"kind": "rows", "query": NO_QUERY, "offset": -1}, {"kind": "rows", "query": NO_QUERY, "offset": "0"},
    {"kind": "rows", "query": NO_QUERY, "offset": True}, {"kind": "rows", "query": NO_QUERY, "limit": 1e9},
    {"kind": "rows", "query": {"text": 3}}, {"kind": "rows", "query": {"text": "x" * 1001}},
    {"kind": "rows", "query": {"filters": {"payload": ["x"]}}}, {"kind": "rows", "query": {"filters": {"cls": "x"}}},
    {"kind": "rows", "query": {"filters": {"cls": [[1]]}}}, {"kind": "rows", "query": {"order": "x; DROP TABLE"}},
    {"kind": "rows", "query": {"order": ["name"]}}, {"kind": "detail"}, {"kind": "detail", "id": "../../etc/passwd"},
    {"kind": "detail", "id": "'; DROP TABLE gc3store;--"}, {"kind": "detail", "id": "x" * 10**5},
    {"kind": "load", "target": {"ids": ["list.1"]}, "variable": "__import__('os').system('x')"},
    {"kind": "load", "target": {"ids": ["../x"]}, "variable": "x"}, {"kind": "load", "target": {"ids": "list.1"}},
    {"kind": "load", "target": {"ids": ["list.1"]}, "variable": "x", "into": "globals"},
    {"kind": "load", "target": {"ids": [1]}, "variable": "x"},
    {"kind": "load", "target": {"ids": ["list.1"] * (MAX_IDS + 1)}, "variable": "x", "into": "dict"},
    {"kind": "save", "variable": "os.environ"}, {"kind": "save", "variable": "nothing"},
    {"kind": "replace", "id": "list.1", "variable": "__builtins__.x"}, {"kind": "remove", "target": {"ids": ["/etc/x"]}},
    {"kind": "remove", "target": {"ids": ["list.999"]}}, {"kind": "remove", "target": None},
    {"kind": "label", "id": "list.1", "name": "a\nb"}, {"kind": "label", "id": "list.1", "add": "tag"},
    {"kind": "undo", "token": "1"}, {"kind": "undo", "token": 77}, {"kind": "preview", "id": "list.999"},
    {"kind": "ids", "query": NO_QUERY, "offset": 0, "limit": MAX_IDS + 1},
]  # fmt: skip


@pytest.mark.parametrize("request_", HOSTILE)
def test_hostile_requests_are_refused(request_, full):
    namespace = {"kept": 1}
    before = [record.id for record in full.records(Query())]
    reply = Service(full, namespace).answer(request_)
    assert reply["ok"] is False
    assert len(json.dumps(reply)) < 2000
    assert "\n" not in reply["error"]["message"]
    assert namespace == {"kept": 1}
    assert [record.id for record in full.records(Query())] == before


def test_hostile_catalogue_is_cut_to_size():
    store = MemoryStore()
    store.add(
        name="\ud800" + "x" * 10**6, cls="<script>", tags=("t" * 10**6,) * 50, columns={"c": float("nan")}
    )
    store.add(preview="p" * 10**6, error="e" * 10**6, origin={"k" * 10**6: "v" * 10**6})
    service = Service(store, {})
    assert len(json.dumps(good(service, "rows", query=NO_QUERY, offset=0, limit=10))) < 20_000
    assert len(json.dumps(good(service, "detail", id="Run.2"))) < 20_000


def test_passwords_are_taken_out_of_errors():
    store = MemoryStore()
    store.down = "cannot connect to postgresql://me:s3cret@db/jobs?password=s3cret"
    message = ask(Service(store, {}), "rows", query=NO_QUERY, offset=0, limit=1)["error"]["message"]
    assert "s3cret" not in message
    assert "me:***@db" in message


class TestOtherStores:
    def test_four_methods(self):
        store = FourMethods()
        service = Service(store, {})
        id_ = store.save([1])
        assert service.catalogue.offers["list"] is False
        assert "cannot list" in service.catalogue.notes[0]
        good(service, "load", target={"ids": [id_]}, variable="x")
        assert service.namespace == {"x": [1]}
        service.namespace["y"] = [2]
        good(service, "save", variable="y")
        good(service, "replace", id=id_, variable="y")
        assert store.objects[id_] == [2]
        good(service, "remove", target={"ids": [id_]})
        assert id_ not in store.objects
        assert not ask(service, "load", target={"ids": ["nothing"]}, variable="z")["ok"]

    def test_list_only(self):
        store = Lists()
        for n in range(30):
            store.save([n] if n % 2 else {})
        service = Service(store, {})
        assert "no names" in service.catalogue.notes[0]
        query = {"text": "dict", "filters": {}, "order": "-id"}
        assert len(good(service, "rows", query=query, offset=0, limit=100)["rows"]) == 15
        assert good(service, "count", query=query)["count"] == 15
        assert good(service, "facets", query=NO_QUERY)["facets"]["cls"]["values"] == [
            ["dict", 15],
            ["list", 15],
        ]
        assert good(service, "detail", id="list.2")["detail"]["row"]["id"] == "list.2"
        assert ask(service, "detail", id="list.999")["error"]["type"] == "ObjectNotFoundError"
        reply = good(service, "remove", target={"ids": ["list.2"]})
        assert reply["undo"] is None
        assert good(service, "count", query=NO_QUERY)["count"] == 29

    def test_ids_of_any_form(self):
        store = Lists()
        store.objects = {"no number": 1, "": 2, "🙂/../x": 3}
        service = Service(store, {})
        assert ids(good(service, "rows", query=NO_QUERY, offset=0, limit=9)) == list(store.objects)
        good(service, "load", target={"ids": ["🙂/../x"]}, variable="x")
        assert service.namespace == {"x": 3}


class TestSelected:
    def test_is_lazy(self):
        store = MemoryStore()
        for _ in range(5000):
            store.add()
        asked = []
        real = store.records
        store.records = lambda query=None: asked.append(query) or real(query)
        selected = Selected(Catalogue(store), query=Query())
        assert asked == []
        assert len(selected) == 5000
        assert all(query.limit is None for query in asked)  # counted, not listed
        asked.clear()
        assert next(iter(selected)) == "Run.1"
        assert len(asked) == 1

    def test_as_a_sequence(self, full):
        selected = Selected(Catalogue(full), ("list.1",), Query.parse("class:list"))
        assert len(selected) == 29
        assert list(selected)[:2] == [selected[0], selected[1]] == ["list.2", "list.3"]
        assert selected[-1] == "list.30"
        assert "list.1" not in selected
        assert "list.2" in selected
        assert "dict.31" not in selected
        assert 3 not in selected
        with pytest.raises(IndexError):
            selected[29]
        assert repr(selected) == "<Selected: 29 objects: list.2, list.3, list.4, ...>"
        assert list(selected.table().index) == list(selected)

    def test_of_ids(self, full):
        selected = Selected(Catalogue(full), ("list.3", "list.1", "list.3"))
        assert list(selected) == ["list.3", "list.1"]
        assert list(selected.table().index) == ["list.1", "list.3"]
        assert not Selected(Catalogue(full))
        assert len(Selected(Catalogue(full)).table()) == 0

    def test_removing_on_the_way_skips_none(self):
        store = MemoryStore()
        for _ in range(4500):
            store.add()
        for id_ in Selected(Catalogue(store), query=Query()):
            store.remove(id_)
        assert len(store) == 0


def test_many_threads_at_once(full):
    service = Service(full, {})

    def work(n):
        for k in range(20):
            text = f"thread {n} {k}"
            id_ = good(service, "save", variable="x", name=text)["ids"][0]
            assert ids(good(service, "rows", query={**NO_QUERY, "text": f'"{text}"'}, offset=0, limit=5)) == [
                id_
            ]
            good(service, "count", query=NO_QUERY)
            good(service, "remove", target={"ids": [id_]})

    service.namespace["x"] = [1]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert good(service, "count", query=NO_QUERY)["count"] == 35


class TestLayout:
    def test_is_kept_for_each_store(self):
        one, other = MemoryStore("memory://1"), MemoryStore("memory://2")
        assert Layout(one).read() == []
        Layout(one).write([["id", 100, True], ["name", 50, False]])
        assert Layout(one).read() == [["id", 100, True], ["name", 50, False]]
        assert Layout(other).read() == []

    @pytest.mark.parametrize(
        "bad", [None, {}, [1], [["id"]], [["id", "x", True]], [["id", -1, True]], [["x" * 200, 1, True]]]
    )
    def test_nonsense_is_refused(self, bad):
        with pytest.raises(UsageError):
            Layout(MemoryStore()).write(bad)

    def test_what_cannot_be_kept_is_no_error(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Layout(MemoryStore()).write([["id", 100, True]])
            assert Layout(MemoryStore()).read() == []

    def test_a_damaged_layout_counts_as_missing(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        Layout(MemoryStore()).write([["id", 100, True]])
        (file,) = (tmp_path / "gc3store" / "browser").iterdir()
        file.write_bytes(file.read_bytes() + b"]")
        assert Layout(MemoryStore()).read() == []


def test_question_treats_filters_as_values():
    query, _ = question({"filters": {"state": ["<5", "a,b", None]}})
    assert query.conditions[0].value == ("<5", "a,b", None)
