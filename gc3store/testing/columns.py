"""The part of the contract that is about user columns: stores that offer ``fill_columns``."""

from __future__ import annotations

import pickle
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gc3store.errors import ColumnWarning, InvalidQueryError, ObjectNotFoundError, OptionError
from gc3store.store import Store
from gc3store.testing.objects import Bomb
from gc3store.testing.processes import in_fresh_process

__all__ = ["ColumnsContract"]

_WHEN = datetime(2026, 11, 23, 14, 19, 5, 123456, tzinfo=UTC)


def _first(obj: Any) -> Any:
    return obj["runs"][0]


def _save(open_store: Any, value: Any) -> tuple[tuple[str, ...], str, list[str]]:
    with open_store() as store, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        id_ = store.save(value)
        return store.columns, id_, [str(w.message) for w in caught if w.category is ColumnWarning]


def _use(store: Any, value: Any) -> Any:
    with store:
        return store.describe(store.save(value)).columns


class ColumnsContract:
    """User columns; a base of `gc3store.testing.StoreContract`."""

    @staticmethod
    def offered(store: Store, *methods: str) -> None:
        """Skip the test if the store does not offer one of the methods."""
        for method in methods:
            if not store.offers(method):
                pytest.skip(f"{type(store).__name__} does not offer {method}()")

    @pytest.fixture
    def open_with(self, open_store: Any) -> Any:
        """Return a callable that opens the store with user columns."""
        with open_store() as store:
            self.offered(store, "fill_columns")
        return lambda **columns: open_store(columns=columns)

    def test_columns_hold_what_paths_and_functions_give(self, open_with: Any) -> None:
        """A column of every type, to list, filter, sort and group by."""
        with open_with(
            energy="result.energy", first=_first, when="when", done="flags['done']", label="label"
        ) as store:
            a, b, c = (
                store.save({"result": {"energy": -1.5}, "runs": [3], "when": _WHEN, "label": "12"}),
                store.save({"result": {"energy": -2}, "runs": [2**60 + 1], "flags": {"done": True}}),
                store.save({"runs": ["text"], "label": "Zürich", "when": _WHEN + timedelta(days=1)}),
            )
            found = {record.id: dict(record.columns) for record in store.records()}
            empty = dict.fromkeys(store.columns)
            assert set(store.columns) == {"energy", "first", "when", "done", "label"}
            assert found == {
                a: {**empty, "energy": -1.5, "first": 3, "when": _WHEN, "label": "12"},
                b: {**empty, "energy": -2, "first": 2**60 + 1, "done": True},
                c: {**empty, "first": "text", "label": "Zürich", "when": _WHEN + timedelta(days=1)},
            }
            assert found[b]["done"] is True
            assert store.describe(b).columns == found[b]
            for filters, expected in (
                ({"energy": -2}, [b]),
                ({"energy": None}, [c]),
                ({"energy": [-1.5, -2]}, [a, b]),
                ({"query": "energy:<-1.5"}, [b]),
                ({"query": "energy:!=-2"}, [a, c]),
                ({"first": 2**60}, []),
                ({"first": 2**60 + 1}, [b]),
                ({"query": "first:>2"}, [a, b]),
                ({"label": "12"}, [a]),
                ({"label": 12}, []),
                ({"query": "label:12"}, [a]),
                ({"query": 'label:"Zürich"'}, [c]),
                ({"when": _WHEN}, [a]),
                ({"query": "when:>2026-11-24T00:00+00:00"}, [c]),
                ({"query": "done:true"}, [b]),
                ({"query": "energy:<0 first:3"}, [a]),
                ({"order": "energy"}, [b, a, c]),
                ({"order": "-energy"}, [a, b, c]),
                ({"order": "-energy", "limit": 1, "offset": 1}, [b]),
                ({"order": "first"}, [a, b, c]),
                ({"order": ("done", "-when")}, [b, c, a]),
                ({"query": "class:dict", "order": "label"}, [a, c, b]),
            ):
                assert store.list(**filters) == expected, filters
            with pytest.raises(InvalidQueryError, match="energy"):
                store.list(enrgy=1)
            assert store.facets("label") == {"12": 1, "Zürich": 1, None: 1}
            table = store.table(columns=["energy", "when", "done", "first"])
            assert [str(kind) for kind in table.dtypes[:3]] == ["float64", "datetime64[us, UTC]", "boolean"]
            assert list(table["first"]) == [3, 2**60 + 1, "text"]
            assert {"energy", "label"} <= set(store.table().columns)

    def test_a_column_that_fails_never_fails_the_save(self, open_with: Any) -> None:
        """It stays empty, and a warning names column, object and reason."""
        with open_with(good="x", ratio=lambda obj: obj["x"] / 0, whole="self") as store:
            with pytest.warns(ColumnWarning) as caught:
                id_ = store.save({"x": 4, "self": [1]})
            reasons = sorted(str(w.message) for w in caught if w.category is ColumnWarning)
            assert len(reasons) == 2
            assert f"'ratio' of {id_} stays empty: ZeroDivisionError" in reasons[0]
            assert f"'whole' of {id_} stays empty: list is not a type" in reasons[1]
            assert store.describe(id_).columns == {"good": 4, "ratio": None, "whole": None}
            with pytest.warns(ColumnWarning, match="and of 2 more"):
                ids = store.save_many([{"x": i} for i in range(3)])
            assert [store.load(i) for i in ids] == [{"x": 0}, {"x": 1}, {"x": 2}]
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(ColumnWarning):
                    store.save({"x": 5})  # as an error it comes when the object is saved
            assert len(store) == 5

    def test_columns_are_kept(self, open_store: Any, open_with: Any) -> None:
        """Opened again, a store fills those with a path; functions must be given again."""
        with open_with(energy="energy", n=len) as store:
            one = store.save({"energy": 1})
        columns, two, told = in_fresh_process(_save, open_store, {"energy": 2})
        assert sorted(columns) == ["energy", "n"]
        assert len(told) == 1
        assert "filled by functions" in told[0]
        with open_store() as store:
            assert store.describe(one).columns == {"energy": 1, "n": 1}
            assert store.describe(two).columns == {"energy": 2, "n": None}
            with pytest.raises(OptionError, match="filled by a function"):
                store.fill_columns(["n"])
        with open_with(n=len) as store:
            assert store.fill_columns() == 1
            assert store.describe(two).columns == {"energy": 2, "n": 1}

    def test_columns_are_filled_afterwards(self, open_store: Any, open_with: Any, tmp_path: Path) -> None:
        """Without running what is stored; content, revision and time stay, values get recorded once."""
        trace = tmp_path / "exploded"
        with open_store() as store:
            bomb = store.save([Bomb(str(trace)), {"x": 7}])
            plain = store.save({"x": 8})
            before = {record.id: record for record in store.records()}
        with open_with(x="[1].x", y="x") as store:
            assert store.fill_columns(cls="list") == 1
            assert store.fill_columns() == 1
            assert store.fill_columns() == 0
            after = {record.id: record for record in store.records()}
            assert (after[bomb].columns["x"], after[plain].columns["y"]) == (7, 8)
            for id_, record in after.items():
                assert (record.revision, record.modified) == (before[id_].revision, before[id_].modified)
            assert store.list(x=7) == [bomb]
            assert not trace.exists()
            store.verify(bomb)
        with pytest.warns(ColumnWarning, match="again=True"):
            store = open_with(x="x")
        with store:
            assert store.fill_columns() == 1  # those that have a value keep it
            assert store.describe(bomb).columns["x"] == 7
            assert store.fill_columns(["x"], again=True) == 1  # the one that lacks it
            assert (store.describe(bomb).columns["x"], store.list(x=8)) == (None, [plain])

    def test_columns_stay_with_their_objects(self, open_store: Any, open_with: Any) -> None:
        """Through replacing, relabelling, removing with undo, and a pickled store."""
        with open_with(energy="energy", n=lambda obj: len(obj)) as store:
            id_ = store.save({"energy": 1.25, "more": 0})
            store.update(id_, name="labelled")
            assert store.describe(id_).columns == {"energy": 1.25, "n": 2}
            data = store.export(id_)
            store.remove(id_)
            assert store.list(energy=1.25) == []
            assert store.restore(data) == id_
            assert store.list(energy=1.25) == [id_]
            store.replace(id_, {"energy": "none"})
            assert (store.list(energy=1.25), store.list(energy="none")) == ([], [id_])
            store.replace(id_, {})
            assert (store.list(energy="none"), store.list(energy=None)) == ([], [id_])
            assert in_fresh_process(_use, pickle.loads(pickle.dumps(store)), {"energy": 3}) == {
                "energy": 3,
                "n": 1,
            }
        with open_store() as store:
            store.remove_many(store.list())
            assert store.list(order="energy") == []
            with pytest.raises(ObjectNotFoundError):
                store.describe(id_)

    def test_columns_must_have_names_of_their_own(self, open_store: Any, open_with: Any) -> None:
        """Those that mean something else are refused, and strings that are not paths."""
        for name in ("size", "class", "query", "columns", "two words", "", "x" * 61):
            with pytest.raises(OptionError, match=r"name|called"):
                open_store(columns={name: "x"})
        for source in ("results[", "", 3, None):
            with pytest.raises(OptionError, match="'energy'"):
                open_with(energy=source)
        with pytest.raises(OptionError, match="columns are names with paths"):
            open_store(columns=["energy"])
