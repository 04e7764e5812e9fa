"""Questions about the catalogue get the same answer from SQL as from `Query.apply`."""

from __future__ import annotations

import pytest

from gc3store import Query, make_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with make_store(f"sqlite:///{tmp_path_factory.mktemp('query')}/jobs.db") as store:
        ids = store.save_many([[n % 7] * (n % 11) if n % 3 else {"n": n % 5} for n in range(1500)])
        for n, id_ in enumerate(ids[:60]):
            store.update(
                id_,
                name=["Cold Run", "100%_done", "cold run", None, "a\\b", "Été"][n % 6],
                tags=["Hot"] if n % 4 else [],
            )
        store.everything = list(store.records())  # in the order of their numbers
        yield store


@pytest.mark.parametrize(
    "text",
    [
        "",
        "COLD",
        "cold run",
        "%",
        "_",
        "\\",
        "hot",
        "LIST.7",
        "class:dict",
        "size:>20",
        "tag:Hot cold",
        "ÉTÉ",
    ],
)
@pytest.mark.parametrize(
    "order", [(), (("name", False),), (("name", True),), (("size", True), ("cls", False)), (("id", False),)]
)
@pytest.mark.parametrize(("offset", "limit"), [(0, None), (0, 5), (7, 5), (1200, 60), (1499, 10), (5000, 5)])
def test_same_answer(store, text, order, offset, limit):
    query = Query.parse(text).but(order=order, offset=offset, limit=limit)
    everything = store.everything
    assert [r.id for r in store.records(query)] == [r.id for r in query.apply(everything)]
    assert store.count(query) == len(list(query.but(offset=0, limit=None).apply(everything)))


def test_rows_are_whole(store):
    query = Query(order=(("size", True),), offset=1100, limit=20)
    by_id = {record.id: record for record in store.records()}
    assert all(record == by_id[record.id] for record in store.records(query))
