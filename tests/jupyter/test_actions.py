"""The actions that magics and browser share."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import pytest

from gc3store.errors import (
    NotSupportedError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)
from gc3store.jupyter import actions
from gc3store.jupyter.lookup import resolve
from gc3store.jupyter.variables import check_variable, suggest, variables
from gc3store.record import Record

from .memory import FourMethods, Lists, MemoryStore


@pytest.fixture
def store():
    return MemoryStore()


def replay(outcome, store, namespace):
    """Run the Python line of an outcome."""
    exec(outcome.python("jobs"), {"jobs": store}, namespace)
    return namespace


class TestNames:
    @pytest.mark.parametrize(
        "bad",
        [
            "", "2x", "a b", "a-b", "class", "None", "list", "__name__", "_", "__", "___", "_i", "_ih",
            "_oh", "_12", "In", "Out", "exit", "get_ipython", "x" * 256, "a;b", "a.b", "a\nb", "f()", "​",
            "print", 3, None,
        ],
    )  # fmt: skip
    def test_bad_variable(self, bad):
        with pytest.raises(UsageError) as info:
            check_variable(bad)
        assert "\n" not in str(info.value)
        assert len(str(info.value)) < 200

    @pytest.mark.parametrize("good", ["x", "_x", "été", "match", "x" * 255])
    def test_good_variable(self, good):
        assert check_variable(good) == good

    def test_spelt_as_python_does(self):
        assert check_variable("ﬁt") == "fit"

    @pytest.mark.parametrize(
        "name",
        [
            "16x16 cold",
            "class",
            "list",
            "été",
            "💥",
            "<b>bold</b>",
            "../etc",
            "_",
            "__init__",
            "",
            " ",
            "x" * 10**6,
            "In",
        ],
    )
    def test_suggestions_are_valid_and_free(self, name):
        taken: set[str] = set()
        for _ in range(3):
            found = suggest(Record(id="Run.1", name=name), taken)
            assert check_variable(found) == found
            assert found not in taken
            taken.add(found)

    def test_suggestion_reads_well(self):
        assert suggest(Record(id="IsingRun.7", name="cold start")) == "cold_start"
        assert suggest("HTTPServer.3") == "httpserver_3"
        assert suggest("x.7", {"x_7", "x_7_2"}) == "x_7_3"


class TestLoad:
    def test_into_a_variable(self, store):
        id_ = store.save([1, 2], name="pair")
        namespace = {}
        outcome = actions.load(store, namespace, id_, variable="x")
        assert namespace == {"x": [1, 2]}
        assert outcome.message == "x = list 'list.1' (20 B)"
        assert outcome.magic == "%store_load list.1 as x"
        assert replay(outcome, store, {}) == namespace

    def test_by_a_suggested_name(self, store):
        namespace = {"pair": 3}
        assert actions.load(store, namespace, store.save([1], name="pair")).variables == ("pair_2",)
        assert namespace == {"pair": 3, "pair_2": [1]}

    def test_never_overwrites_silently(self, store):
        id_ = store.save([1])
        namespace = {"x": math}
        with pytest.raises(actions.VariableExistsError) as info:
            actions.load(store, namespace, id_, variable="x")
        assert (info.value.variable, info.value.type) == ("x", "module")
        assert namespace == {"x": math}
        outcome = actions.load(store, namespace, id_, variable="x", overwrite=True)
        assert namespace == {"x": [1]}
        assert outcome.magic == "%store_load list.1 as x --force"

    def test_the_same_value_is_no_obstacle(self, store):
        namespace = {"x": "text"}
        actions.load(store, namespace, store.save("text"), variable="x")
        assert namespace == {"x": "text"}

    def test_true_is_not_one(self, store):
        with pytest.raises(actions.VariableExistsError):
            actions.load(store, {"x": True}, store.save(1), variable="x")

    def test_an_invalid_name_loads_nothing(self, store):
        id_ = store.save([1])
        with pytest.raises(UsageError):
            actions.load(store, {}, id_, variable="a b")
        assert store.loads == 0

    def test_store_of_four_methods(self):
        store, namespace = FourMethods(), {}
        outcome = actions.load(store, namespace, store.save([1]))
        assert outcome.message == "list_1 = list 'list.1'"
        assert namespace == {"list_1": [1]}


class TestLoadMany:
    def test_into_a_dict(self, store):
        ids = [store.save(n) for n in range(3)]
        namespace = {}
        outcome = actions.load_many(store, namespace, ids, variable="runs")
        assert namespace["runs"] == dict(zip(ids, range(3), strict=True))
        assert outcome.message == "runs = dict of 3 objects"
        assert replay(outcome, store, {}) == namespace

    @pytest.mark.parametrize("n", [1, 3])
    def test_into_variables(self, store, n):
        ids = [store.save(n) for n in range(n)]
        namespace = {}
        outcome = actions.load_many(store, namespace, ids, variable="run", into="variables")
        assert namespace == {f"run_{k + 1}": k for k in range(n)}
        assert replay(outcome, store, {}) == namespace

    def test_one_failure_stops_no_other(self, store):
        ids = [store.save(n) for n in range(3)]
        store.payloads[ids[1]] = b"broken"
        namespace = {}
        outcome = actions.load_many(store, namespace, ids, variable="runs")
        assert list(namespace["runs"]) == [ids[0], ids[2]]
        assert [failure.id for failure in outcome.failures] == [ids[1]]
        assert "\n" not in outcome.failures[0].reason
        assert "1 could not be loaded" in outcome.message

    def test_nothing_loads(self, store):
        with pytest.raises(StoreError, match=r"None of 2 .* Run\.1: .*no object"):
            actions.load_many(store, {}, ["Run.1", "Run.2"], variable="runs")

    def test_all_or_no_variables(self, store):
        ids = [store.save(n) for n in range(3)]
        namespace = {"run_2": "mine"}
        with pytest.raises(actions.VariableExistsError):
            actions.load_many(store, namespace, ids, variable="run", into="variables")
        assert namespace == {"run_2": "mine"}


class TestSaveAndReplace:
    def test_save(self, store):
        outcome = actions.save(store, {"x": [1]}, "x", origin={"notebook": "a.ipynb"})
        (id_,) = outcome.ids
        assert store.load(id_) == [1]
        assert store.describe(id_).name == "x"
        assert store.describe(id_).origin == {"notebook": "a.ipynb"}
        assert outcome.magic == "%store_save x"

    def test_save_under_a_name_with_tags(self, store):
        outcome = actions.save(store, {"x": [1]}, "x", name="my run", tags=["hot", "a b"])
        assert outcome.magic == "%store_save x --as 'my run' --tag hot --tag 'a b'"
        namespace = {"x": [1]}
        replay(outcome, store, namespace)
        assert store.list(name="my run", tags="hot") == ["list.1", "list.2"]

    def test_store_without_names(self):
        store = FourMethods()
        assert actions.save(store, {"x": [1]}, "x").ids == ("list.1",)
        with pytest.raises(NotSupportedError, match="keeps no name"):
            actions.save(store, {"x": [1]}, "x", name="other")

    @pytest.mark.parametrize("variable", ["y", "x.real", "1", "", "__import__('os')", None])
    def test_only_variables(self, store, variable):
        with pytest.raises(UsageError):
            actions.save(store, {"x": [1]}, variable)
        assert store.list() == []

    def test_replace(self, store):
        id_ = store.save([1])
        namespace = {"x": [2]}
        outcome = actions.replace(store, namespace, id_, "x")
        assert store.load(id_) == [2]
        assert outcome.magic == f"%store_replace {id_} x"
        replay(outcome, store, {"x": [3]})
        assert store.load(id_) == [3]


class TestRemove:
    @pytest.mark.parametrize("n", [1, 2, 1200])
    def test_undo_brings_back_the_same(self, store, n):
        ids = [store.save(k, name=f"run {k}") for k in range(n)]
        before = dict(store.entries), dict(store.payloads)
        outcome = actions.remove(store, ids)
        assert store.list() == []
        assert outcome.undo() == tuple(ids)
        assert (store.entries, store.payloads) == before
        with pytest.raises(UsageError):
            outcome.undo()

    def test_undo_can_be_tried_again(self, store):
        ids = [store.save(k) for k in range(3)]
        outcome = actions.remove(store, ids)
        store.down = "The database is locked."
        with pytest.raises(StoreUnavailableError):
            outcome.undo()
        store.down = None
        outcome.undo()
        assert store.list() == ids

    def test_missing_ones_stop_nothing(self, store):
        ids = [store.save(k) for k in range(3)]
        store.remove(ids[1])
        outcome = actions.remove(store, ids)
        assert [failure.id for failure in outcome.failures] == [ids[1]]
        assert outcome.message == "Removed 2 objects; 1 were gone already"
        outcome.undo()
        assert store.list() == [ids[0], ids[2]]

    def test_nothing_to_remove(self, store):
        with pytest.raises(ObjectNotFoundError):
            actions.remove(store, ["Run.1"])

    def test_a_failure_half_way_removes_nothing(self, store):
        ids = [store.save(k) for k in range(1200)]
        real, calls = store.remove_many, []

        def remove_many(batch):
            calls.append(batch)
            if len(calls) == 2:
                raise StoreUnavailableError("The database is locked.")
            real(batch)

        store.remove_many = remove_many
        with pytest.raises(StoreUnavailableError):
            actions.remove(store, ids)
        assert sorted(store.list()) == sorted(ids)

    def test_store_that_cannot_put_back(self):
        store = Lists()
        outcome = actions.remove(store, [store.save(1)])
        assert outcome.undo is None
        assert store.list() == []

    def test_replay(self, store):
        ids = [store.save(k) for k in range(3)]
        outcome = actions.remove(store, ids)
        assert outcome.magic == "%store_remove int.1 int.2 int.3"
        outcome.undo()
        replay(outcome, store, {})
        assert store.list() == []


class TestLabel:
    def test_rename_and_back(self, store):
        id_ = store.save(1, name="a")
        outcome = actions.label(store, id_, name="it's b")
        assert store.describe(id_).name == "it's b"
        assert outcome.magic == f"""%store_tag {id_} --name 'it'"'"'s b'"""
        outcome.undo()
        assert store.describe(id_).name == "a"

    def test_tags(self, store):
        id_ = store.save(1, tags=["a", "b"])
        outcome = actions.label(store, id_, add=["c", "c", "a"], drop=["b"])
        assert store.describe(id_).tags == ("a", "c")
        assert outcome.message == "'int.1' has tags a, c"
        outcome.undo()
        assert store.describe(id_).tags == ("a", "b")

    def test_no_name(self, store):
        id_ = store.save(1, name="a")
        actions.label(store, id_, name=None)
        assert store.describe(id_).name is None

    @pytest.mark.parametrize("bad", ["a\nb", "a\0b", "x" * 1001])
    def test_one_line_of_text(self, store, bad):
        id_ = store.save(1)
        with pytest.raises(UsageError):
            actions.label(store, id_, add=[bad])
        with pytest.raises(UsageError):
            actions.label(store, id_, name=bad)

    def test_nothing_to_do(self, store):
        with pytest.raises(UsageError):
            actions.label(store, store.save(1))


def test_variables_like_who():
    class Trap:
        def __getattribute__(self, name):
            raise AssertionError("user code ran")

        def __sizeof__(self):
            raise AssertionError("user code ran")

    namespace = {"b": [1, 2], "a": 3, "_c": 1, "math": math, "In": [], "hid": 1, "trap": Trap()}
    found = variables(namespace, {"hid"})
    assert [(v.name, v.type, v.shape) for v in found] == [
        ("a", "int", ""),
        ("b", "list", "2"),
        ("trap", Trap.__qualname__, ""),
    ]
    assert found[1].size == sys.getsizeof([1, 2])


def test_variables_measures_arrays():
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    found = variables({"array": np.zeros((3, 4)), "frame": pd.DataFrame({"x": [1, 2]})})
    assert [(v.type, v.shape) for v in found] == [
        ("ndarray", "3\N{MULTIPLICATION SIGN}4"),
        ("DataFrame", "2\N{MULTIPLICATION SIGN}1"),
    ]
    assert found[0].size == 96


def test_one_line():
    assert actions.one_line(StoreError("Gone. Try later.\nmore")) == "Gone. Try later."
    assert actions.one_line(pickle.PicklingError()) == "PicklingError: no reason was given"
    assert len(actions.one_line(ValueError("x" * 10**6))) == 300


def test_knows_nothing_of_notebooks():
    code = (
        "import sys, gc3store.jupyter.actions; print({'IPython', 'ipywidgets', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_place_in_a_list_is_not_the_number_of_an_id():
    """A store may give IDs without numbers; a number then names none of its objects."""
    store = Lists()
    store.objects = {"alpha": 1, "beta": 2, "job.7": 3}
    assert [resolve(store, text) for text in ("beta", "job.7", "7")] == ["beta", "job.7", "job.7"]
    for text in ("0", "1"):
        with pytest.raises(ObjectNotFoundError):
            resolve(store, text)
