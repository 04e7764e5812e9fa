"""An ID is prefix and number together: one with the number of another record and another prefix is not that record."""

from __future__ import annotations

import pytest

from gc3store import ObjectNotFoundError
from gc3store.testing import Point
from tests.everywhere import KINDS, place_of

CALLS = {
    "load": lambda store, id_: store.load(id_),
    "load fresh": lambda store, id_: store.load(id_, fresh=True),
    "load many": lambda store, id_: list(store.load_many([id_])),
    "update": lambda store, id_: store.update(id_, name="another", tags=["t"]),
    "replace": lambda store, id_: store.replace(id_, {"x": 3}),
    "replace by its own": lambda store, id_: store.replace(id_, store.load(store.list()[0])),
    "remove": lambda store, id_: store.remove(id_),
    "remove many": lambda store, id_: store.remove_many([*store.list(), id_]),
    "describe": lambda store, id_: store.describe(id_),
    "verify": lambda store, id_: store.verify(id_),
    "export": lambda store, id_: store.export(id_),
    "inspect": lambda store, id_: store.inspect(id_),
    "references": lambda store, id_: store.references(id_),
    "imports": lambda store, id_: store.imports(id_),
    "set item": lambda store, id_: store.__setitem__(id_, 1),
    "delete item": lambda store, id_: store.__delitem__(id_),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_call_takes_one_for_the_other(kind, tmp_path):
    with place_of(kind, tmp_path) as place:
        store = place.open()
        ids = [store.save({"x": 1}, name="first"), store.save(Point(2), name="second")]
        before = [store.describe(id_) for id_ in ids]
        wrong = [f"Other.{id_.rpartition('.')[2]}" for id_ in ids] + ["Point.1", "dict.2"]
        for name, call in CALLS.items():
            for id_ in wrong:
                with pytest.raises(ObjectNotFoundError) as caught:
                    call(store, id_)
                assert caught.value.id == id_, name
                assert id_ not in store
        assert store.list() == ids
        assert [store.describe(id_) for id_ in ids] == before
        fresh = place.open()
        assert (fresh.load(ids[0]), fresh.load(ids[1])) == ({"x": 1}, Point(2))
        assert fresh.find("another") == fresh.list(tags="t") == []
