"""Where an object is in what a browser shows, also where values are missing; how many objects are selected."""

from __future__ import annotations

import threading

import pytest

from gc3store import browse, make_store

from .memory import MemoryStore


class Task:
    """Has a state, if it is given one."""

    def __init__(self, state=None):
        if state is not None:
            self.state = state


@pytest.fixture(params=["memory", "sqlite", "directory"])
def store(request, tmp_path):
    """A store of objects of which some have no name and some no state."""
    if request.param == "memory":
        store = MemoryStore("memory://")
        for n in range(24):
            store.add(name=NAMES[n % 4], state=STATES[n % 3], tags=["even"] * (n % 2 == 0))
        yield store
        return
    url = f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else str(tmp_path / "jobs")
    with make_store(url) as store:
        for n in range(24):
            store.save(Task(STATES[n % 3]), name=NAMES[n % 4], tags=["even"] * (n % 2 == 0))
        yield store


NAMES = None, "b", "a", None
STATES = "NEW", None, "RUNNING"


@pytest.fixture
def browser(store):
    browser = browse(store, namespace={})
    yield browser
    browser.close()


def ask(browser, **request):
    """Hand a request over as the notebook does, and return the reply."""
    replies, ready = [], threading.Event()
    browser.send = lambda content, buffers=None: (replies.append(content), ready.set())
    browser._handle_custom_msg(request, [])
    assert ready.wait(60)
    assert replies[0]["ok"], replies
    return replies[0]


def question(text="", order="", **filters):
    return {"text": text, "filters": filters, "order": order}


ORDERS = [
    "",
    *(sign + field for sign in ("", "-") for field in ("name", "state", "cls", "number", "id", "revision")),
]


@pytest.mark.parametrize("text", ["", "even"])
def test_every_object_is_where_it_is_said_to_be(browser, text):
    for order in ORDERS:
        query = question(text, order)
        rows = ask(browser, kind="rows", query=query, offset=0, limit=100)["rows"]
        ids = [row["id"] for row in rows]
        assert len(ids) == (12 if text else 24)
        for at, id_ in enumerate(ids):
            reply = ask(browser, kind="rows", query=query, offset=0, limit=1, locate=id_, **{"from": 0})
            assert reply["at"] == at, (order, id_)


@pytest.mark.parametrize("field", ["name", "state"])
def test_what_lacks_a_value_comes_last_either_way(browser, field):
    for order in (field, f"-{field}"):
        rows = ask(browser, kind="rows", query=question("", order), offset=0, limit=100)["rows"]
        missing = [not row[field] for row in rows]
        assert missing == sorted(missing)
        assert any(missing)
        assert not all(missing)


def test_what_does_not_match_is_nowhere(browser, store):
    odd = store.list()[1]
    reply = ask(browser, kind="rows", query=question("even"), offset=0, limit=1, locate=odd, **{"from": 0})
    assert reply["at"] is None


def test_exceptions_that_do_not_match_are_not_counted(browser, store):
    ids = store.list()
    even, odd = ids[::2], ids[1::2]
    for left_out, inside in (
        ([], 0),
        (even[:2], 2),
        (odd[:3], 0),
        ([*even[:2], *odd[:3]], 2),
        ([even[0], even[0], odd[0]], 1),
        (["Task.999", odd[0]], 0),
        (ids, 12),
    ):
        ask(browser, kind="select", target={"query": question("even"), "ids": left_out})
        selected = browser.selected
        expected = [id_ for id_ in even if id_ not in left_out]
        assert len(selected) == 12 - inside == len(expected)
        assert list(selected) == expected
        assert bool(selected) is bool(expected)
        assert list(selected.table().index) == expected
        assert not any(id_ in selected for id_ in left_out)
        assert all(id_ in selected for id_ in expected)
        if expected:
            assert selected[-1] == expected[-1]
        with pytest.raises(IndexError):
            selected[len(expected)]


def test_an_exception_that_begins_or_ceases_to_match(browser, store):
    ids = store.list()
    even, odd = ids[::2], ids[1::2]
    ask(browser, kind="select", target={"query": question("even"), "ids": [even[0], odd[0]]})
    selected = browser.selected
    assert len(selected) == 11
    store.update(odd[0], tags=["even"])
    assert (len(selected), len(list(selected))) == (11, 11)
    store.update(even[0], tags=[])
    assert (len(selected), len(list(selected))) == (11, 11)
    store.remove(odd[0])
    assert (len(selected), len(list(selected))) == (11, 11)
    store.update(even[1], tags=[])
    assert (len(selected), len(list(selected))) == (10, 10)
