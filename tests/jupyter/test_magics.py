"""The magics in an IPython shell, on a file, a directory, and stores that offer less."""

import os
import re
import warnings

import numpy as np
import pytest
from IPython.core.error import UsageError

from gc3store import make_store
from gc3store.jupyter import actions

from .memory import FourMethods, Lists

KINDS = {"sqlite": "sqlite:///test.db", "directory": "results"}


@pytest.fixture(params=KINDS)
def stored(request, shell, capsys):
    """A shell that has opened an empty store."""
    shell.ok(f"%store_open {KINDS[request.param]}")
    capsys.readouterr()
    return shell


@pytest.fixture
def store(stored):
    """The store that the shell has opened, opened once more."""
    return make_store(stored.ok("s = %store_open\ns.url"))


class Job:
    def __init__(self, state):
        self.state = state


class TestSaveAndLoad:
    def test_round_trip(self, stored, capsys):
        stored.ok("sweep = {'T': [1.0, 2.27], 'm': [0.99, 0.6]}\n%store_save sweep")
        assert capsys.readouterr().out.startswith("sweep saved as 'dict.1' (")
        stored.ok("del sweep\n%store_load sweep")
        assert stored.user_ns["sweep"] == {"T": [1.0, 2.27], "m": [0.99, 0.6]}
        assert capsys.readouterr().out.startswith("sweep = dict 'dict.1' (")

    def test_assignment_returns_the_object_and_binds_nothing_else(self, stored, capsys):
        stored.ok("value = [1, 2, 3]\n%store_save value\ndel value")
        capsys.readouterr()
        before = set(stored.user_ns)
        stored.ok("x = %store_load value")
        assert stored.user_ns["x"] == [1, 2, 3]
        assert {n for n in set(stored.user_ns) - before if not n.startswith("_")} == {"x"}
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("wanted", ["list.1", "1", "value", "value@1", "value@-1"])
    def test_an_object_has_many_names(self, stored, wanted):
        stored.ok("value = [1, 2, 3]\n%store_save value\ndel value")
        assert stored.ok(f"x = %store_load {wanted}\nx") == [1, 2, 3]

    def test_as_variable(self, stored):
        stored.ok("value = [1]\n%store_save value\n%store_load value as other")
        assert stored.user_ns["other"] == [1]
        assert stored.user_ns["other"] is not stored.user_ns["value"]

    def test_as_variable_in_an_assignment_does_both(self, stored):
        stored.ok("value = [1]\n%store_save value\nx = %store_load value as y")
        assert stored.user_ns["x"] is stored.user_ns["y"]

    def test_save_returns_the_id_in_an_assignment(self, stored):
        assert stored.ok("x = 1\ny = 2\ni = %store_save x\ni") == "int.1"
        assert stored.ok("i = %store_save y x --tag t\ni") == ["int.2", "int.1"]

    def test_several_into_a_dictionary(self, stored):
        stored.ok("a = [1]\nb = [2]\n%store_save a b\n%store_load a b as both")
        assert stored.user_ns["both"] == {"list.1": [1], "list.2": [2]}

    def test_several_into_variables(self, stored):
        stored.ok("a = [1]\nb = [2]\n%store_save a b\n%store_load a b as v --variables")
        assert (stored.user_ns["v_1"], stored.user_ns["v_2"]) == ([1], [2])

    def test_several_by_themselves(self, stored):
        stored.ok("a = [1]\nb = [2]\n%store_save a b\ndel a, b\n%store_load a b")
        assert (stored.user_ns["a"], stored.user_ns["b"]) == ([1], [2])

    def test_several_in_an_assignment(self, stored):
        assert stored.ok("a = [1]\nb = [2]\n%store_save a b\nx, y = %store_load a b\nx, y") == ([1], [2])

    def test_a_label_and_tags(self, stored, store):
        stored.ok("x = 3\n%store_save x --as 'cold start' --tag paper -t final")
        record = store.describe("int.1")
        assert (record.name, record.tags) == ("cold start", ("paper", "final"))
        assert stored.ok("y = %store_load 'cold start'\ny") == 3

    def test_text_with_dollar_and_braces_is_literal(self, stored, store):
        stored.ok("x = 3\n%store_save x --as '$HOME {1+1}'")
        assert store.describe("int.1").name == "$HOME {1+1}"

    def test_replace(self, stored, store, capsys):
        stored.ok("x = [1]\n%store_save x\nx = [1, 2]\n%store_replace x x")
        assert store.load("list.1") == [1, 2]
        assert len(store) == 1

    def test_unsaved_variable_is_named(self, stored, store):
        assert "no variable 'y'" in stored.usage_error("x = 1\n%store_save x y")
        assert len(store) == 0  # nothing was saved because of a typing mistake

    def test_one_of_several_cannot_be_saved(self, stored, store):
        message = stored.usage_error("a = 1\nbad = (i for i in [1])\nc = 3\n%store_save a bad c")
        assert message.startswith("bad was not saved: ")
        assert store.find("a")
        assert store.find("c")

    def test_what_cannot_be_saved_leaves_the_last_version(self, stored, store):
        stored.ok("x = [1]\n%store_save x\nx = (i for i in 'abc')")
        for line in ("%store_save x", "%store_replace x x", "%store_replace list.1 x"):
            assert "is a generator" in stored.usage_error(line)
        assert stored.ok("y = %store_load x\ny") == [1]
        assert store.list() == ["list.1"]
        assert store.describe("list.1").revision == 1

    def test_a_frame_and_an_array(self, stored):
        stored.ok("import numpy as np, pandas as pd\nf = pd.DataFrame({'_id': [1, 2]})\na = np.arange(5.0)")
        stored.ok("%store_save f a\ng = %store_load f\nb = %store_load a")
        assert stored.user_ns["g"].equals(stored.user_ns["f"])
        assert np.array_equal(stored.user_ns["b"], np.arange(5.0))


class TestExistingVariables:
    @pytest.fixture(autouse=True)
    def saved(self, stored):
        stored.ok("x = [1]\n%store_save x")

    def test_another_value_is_not_overwritten(self, stored):
        message = stored.usage_error("y = 'mine'\n%store_load x as y")
        assert message == "y exists and holds another value (str); choose another name, or add --force."
        assert stored.user_ns["y"] == "mine"

    def test_force_overwrites(self, stored):
        stored.ok("y = 'mine'\n%store_load x as y --force")
        assert stored.user_ns["y"] == [1]

    def test_a_cell_that_loads_can_be_run_again(self, stored):
        for _ in range(2):
            stored.ok("%store_load x as y")
            stored.ok("%store_load x")
        assert [n for n in stored.user_ns if n.startswith("x")] == ["x"]

    def test_a_changed_variable_is_another_value(self, stored):
        stored.ok("%store_load x as y\ny.append(2)")
        assert "y exists" in stored.usage_error("%store_load x as y")

    def test_a_suggested_name_is_a_free_one(self, stored):
        stored.ok("x = 'mine'\n%store_load x")
        assert (stored.user_ns["x"], stored.user_ns["x_2"]) == ("mine", [1])

    def test_equal_arrays_are_the_same_value(self, stored):
        stored.ok(
            "import numpy as np\na = np.arange(3)\n%store_save a\n%store_load a as b\n%store_load a as b"
        )
        assert "b exists" in stored.usage_error("b = np.arange(4)\n%store_load a as b")

    @pytest.mark.parametrize("name", ["class", "2x", "a.b", "x;y", "In", "__name__", "print"])
    def test_only_names_of_variables(self, stored, name):
        assert name in stored.usage_error(f"%store_load x as {name}")


class TestVersions:
    def test_saving_again_makes_a_version(self, stored, store):
        for n in range(3):
            stored.ok(f"sweep = {{'n': {n}}}\n%store_save sweep")
        assert store.find("sweep") == ["dict.3", "dict.2", "dict.1"]
        assert stored.ok("x = %store_load sweep\nx") == {"n": 2}
        assert stored.ok("x = %store_load sweep@1\nx") == {"n": 0}
        assert stored.ok("x = %store_load sweep@-2\nx") == {"n": 1}
        assert "has no version 4; there are 3" in stored.usage_error("%store_load sweep@4")

    def test_the_same_content_makes_none(self, stored, store, capsys):
        stored.ok("sweep = {'n': 1}\n%store_save sweep\n%store_save sweep")
        assert "unchanged" in capsys.readouterr().out
        stored.ok("sweep = {'n': 1}\n%store_save sweep")  # an equal object
        assert store.find("sweep") == ["dict.1"]

    def test_the_content_of_an_older_version_is_a_new_one(self, stored, store):
        stored.ok("s = [1]\n%store_save s\ns = [2]\n%store_save s\ns = [1]\n%store_save s")
        assert len(store.find("s")) == 3

    @pytest.mark.parametrize(
        ("make", "change"),
        [
            ("import pandas as pd; s = pd.DataFrame({'a': [1]})", "s['b'] = 2"),
            ("import numpy as np; s = np.zeros(3)", "s[0] = 1"),
            ("class C: pass\ns = C()", "s.x = 1"),
        ],
    )
    def test_an_object_changed_in_place_makes_a_version(self, stored, store, make, change):
        stored.ok(f"{make}\n%store_save s\n{change}\n%store_save s\n%store_save s")
        assert len(store.find("s")) == 2

    def test_a_persistable_stays_its_own_record(self, stored, store):
        stored.ok(
            "from gc3store import Persistable\n"
            "class Run(Persistable):\n    def __init__(self): self.state = 'NEW'\n"
            "run = Run()\n%store_save run\nrun.state = 'RUNNING'\n%store_save run"
        )
        (id_,) = store.find("run")
        record = store.describe(id_)
        assert (record.revision, record.state) == (2, "RUNNING")

    def test_keep_versions(self, stored, store, capsys):
        stored.ok("%config StoreMagics.keep_versions = 2")
        for n in range(4):
            stored.ok(f"s = [{n}]\n%store_save s")
        assert [store.load(id_) for id_ in store.find("s")] == [[3], [2]]
        assert "1 older version removed" in capsys.readouterr().out

    def test_list_of_versions(self, stored):
        stored.ok("s = [1]\n%store_save s\ns = [2]\n%store_save s\nother = 1\n%store_save other")
        listing = stored.ok("%store_list s")
        assert listing.ids == ["list.2", "list.1"]
        assert "s@2" in repr(listing)
        assert repr(listing).endswith(
            f"2 versions of s in {stored.ok('st = %store_open' + chr(10) + 'st.url')}"
        )


class TestList:
    @pytest.fixture(autouse=True)
    def filled(self, stored):
        stored.ok(
            "import gc3store\n"
            "class Job:\n    def __init__(self, state): self.state = state\n"
            "done, broken, table = Job('TERMINATED'), Job('FAILED'), list(range(1000))\n"
            "%store_save done --tag cold\n%store_save broken\n%store_save table"
        )

    @pytest.mark.parametrize(
        ("filters", "names"),
        [
            ("", ["table", "broken", "done"]),
            ("class:Job", ["broken", "done"]),
            ("state:FAILED", ["broken"]),
            ("state:FAILED,TERMINATED", ["broken", "done"]),
            ("size:>1kB", ["table"]),
            ("tag:cold", ["done"]),
            ("saved:<1h", ["table", "broken", "done"]),
            ("saved:>1h", []),
            ("BROK", ["broken"]),
            ("--sort name", ["broken", "done", "table"]),
            ("--sort=-name", ["table", "done", "broken"]),
            ("--limit 1", ["table"]),
            ("class:Job -n 1 --sort name", ["broken"]),
        ],
    )
    def test_filters(self, stored, filters, names):
        listing = stored.ok(f"%store_list {filters}")
        assert [record.name for record in listing] == names

    def test_text(self, stored):
        lines = repr(stored.ok("%store_list")).splitlines()
        assert lines[0].split()[:7] == ["id", "name", "class", "state", "tags", "size", "saved"]
        assert "TERMINATED" in lines[3]
        assert lines[-1].startswith("3 objects in ")

    def test_limit_is_configured(self, stored):
        stored.ok("%config StoreMagics.limit=2")
        listing = stored.ok("%store_list")
        assert len(listing) == 2
        assert "2 of 3 objects" in repr(listing)

    def test_html_is_escaped(self, stored):
        stored.ok("x = 1\n%store_save x --as '<script>alert(1)</script>'")
        html = stored.ok("%store_list")._repr_html_()
        assert "<script>" not in html
        assert "&lt;script&gt;" in html

    def test_control_characters_do_not_reach_the_terminal(self, stored, store):
        store.save(1, name="\x1b[2Jred\u202egnp")
        assert "\x1b" not in repr(stored.ok("%store_list"))
        assert "\u202e" not in repr(stored.ok("%store_list"))

    def test_table(self, stored):
        table = stored.ok("rows = %store_list class:Job\nrows.table()")
        assert sorted(table["name"]) == ["broken", "done"]

    @pytest.mark.parametrize("bad", ["clas:Job", "size:>big", "saved:<tomorrow", "--sort nme"])
    def test_mistakes(self, stored, bad):
        stored.usage_error(f"%store_list {bad}")

    def test_a_mistaken_field_is_named_with_what_was_meant(self, stored):
        assert "did you mean 'state'" in stored.usage_error("%store_list stat:NEW")


class TestRemove:
    def test_remove_and_undo(self, stored, store, capsys):
        stored.ok("x = [1, 2]\n%store_save x\n%store_remove x")
        assert len(store) == 0
        assert "%store_undo" in capsys.readouterr().out
        stored.ok("%store_undo")
        assert store.load("list.1") == [1, 2]
        assert store.describe("list.1").name == "x"

    def test_undo_goes_back_step_by_step(self, stored, store):
        stored.ok("a = 1\nb = 2\n%store_save a b\n%store_remove a\n%store_remove b\n%store_undo\n%store_undo")
        assert store.list() == ["int.1", "int.2"]
        assert stored.usage_error("%store_undo") == "There is nothing to undo."

    def test_everything(self, stored, store):
        stored.ok("a = 1\nb = [2]\n%store_save a b\n%store_remove --all")
        assert len(store) == 0
        stored.ok("%store_undo")
        assert store.list() == ["int.1", "list.2"]

    def test_what_is_damaged_is_removed_and_put_back_too(self, shell, tmp_path):
        shell.ok("%store_open results\nx, y = [1], [2]\n%store_save x y")
        file = tmp_path / "results" / "list.1.gc3"
        file.write_bytes(file.read_bytes()[:-3])
        shell.ok("%store_remove --all")
        assert shell.ok("%store_list").ids == []
        shell.ok("%store_undo")
        assert shell.ok("%store_list").ids == ["list.2", "list.1"]
        assert "list.1 is damaged" in shell.usage_error("%store_load list.1")
        assert shell.ok("z = %store_load list.2\nz") == [2]

    def test_nothing_is_removed_when_one_is_missing(self, stored, store):
        stored.ok("a = 1\n%store_save a")
        assert "no object 'b'" in stored.usage_error("%store_remove a b")
        assert len(store) == 1

    def test_without_arguments_it_asks_what(self, stored):
        assert stored.usage_error("%store_remove").startswith("Remove what?")

    def test_a_referrer_is_noted_in_one_line(self, stored, capsys):
        stored.ok(
            "from gc3store import Persistable\n"
            "class Run(Persistable): pass\n"
            "class Sweep(Persistable):\n    def __init__(self, runs): self.runs = runs\n"
            "sweep = Sweep([Run()])\n%store_save sweep"
        )
        capsys.readouterr()
        id_ = stored.ok("r = sweep.runs[0].persistent_id\nr")
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            stored.ok(f"%store_remove {id_}")
        captured = capsys.readouterr()
        assert "\nNote: Run.2 is being removed, and Sweep.1 will refer to what is gone.\n" in captured.out
        assert captured.err == ""


class TestLabels:
    def test_tag_and_rename(self, stored, store):
        stored.ok("x = 1\n%store_save x\n%store_tag x paper final\n%store_tag x --drop final --name y")
        record = store.describe("int.1")
        assert (record.name, record.tags) == ("y", ("paper",))

    def test_undo(self, stored, store):
        stored.ok("x = 1\n%store_save x\n%store_tag x --name y\n%store_undo")
        assert store.describe("int.1").name == "x"

    def test_an_empty_label_takes_the_name_away(self, stored, store):
        stored.ok("x = 1\n%store_save x\n%store_tag x --name ''")
        assert store.describe("int.1").name is None


class TestInfo:
    def test_what_is_shown(self, stored):
        details = stored.ok("x = list(range(1000))\n%store_save x --tag a\n%store_info x")
        text = repr(details)
        assert text.splitlines()[0].split() == ["ID", "list.1"]
        assert "builtins.list" in text
        assert "Python 3." in text
        assert "<details>" in details._repr_html_()

    def test_it_does_not_load(self, stored, tmp_path):
        stored.ok(
            "class Bomb:\n"
            "    def __reduce__(self): return (open, (str(path), 'w'))\n"
            "from pathlib import Path\npath = Path.cwd() / 'bang'\nb = Bomb()\n%store_save b"
        )
        stored.ok("%store_info b\n%store_list\n%store_list b\n%store_remove b\n%store_undo")
        assert not (tmp_path / "bang").exists()


class TestDiff:
    def test_versions_of_a_name(self, stored, capsys):
        stored.ok("s = {'T': 1.0, 'trace': [1, 2, 3]}\n%store_save s")
        stored.ok("s = {'T': 2.0, 'trace': [1, 2, 3, 4]}\n%store_save s")
        capsys.readouterr()
        stored.ok("%store_diff s")
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "dict.1 → dict.2"
        assert "  T: 1.0 → 2.0" in lines
        assert "  trace[3]: nothing → 4" in lines
        assert len(lines) == 3

    def test_the_same(self, stored, capsys):
        stored.ok("a = [1]\nb = [1]\n%store_save a b\n%store_diff a b")
        assert capsys.readouterr().out.endswith("list.1 and list.2 are the same.\n")

    def test_attributes_of_objects(self, stored, capsys):
        stored.ok(
            "class Job:\n    def __init__(self, n): self.n, self.log = n, 'x'\n"
            "a, b = Job(1), Job(2)\n%store_save a b\n%store_diff a b"
        )
        assert "  n: 1 → 2\n" in capsys.readouterr().out

    def test_nothing_is_loaded(self, stored, tmp_path):
        stored.ok(
            "class Bomb:\n"
            "    def __init__(self, path): self.path = path\n"
            "    def __reduce__(self): return (open, (self.path, 'w'))\n"
            f"a, b = Bomb({str(tmp_path / 'a')!r}), Bomb({str(tmp_path / 'b')!r})\n%store_save a b\n%store_diff a b"
        )
        assert not (tmp_path / "a").exists()
        assert not (tmp_path / "b").exists()

    def test_many_differences_are_cut(self, stored, capsys):
        stored.ok("a, b = list(range(1000)), list(range(1, 1001))\n%store_save a b\n%store_diff a b")
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == "  and more"
        assert len(lines) < 60


class TestAll:
    def test_save_all(self, stored, store, capsys):
        stored.ok("import math\na = 1\nf = lambda x: x + a\ngen = (i for i in [])\n_private = 3")
        stored.ok("%store_save --all")
        lines = capsys.readouterr().out.splitlines()
        assert {r.name for r in store.records()} == {"a", "f"}
        assert any(line.startswith("gen was not saved: ") for line in lines)
        assert lines[-1] == "2 objects saved, 1 not"

    def test_load_all(self, stored, store, capsys):
        stored.ok("a = 1\nb = [2]\n%store_save a b\nb = [3]\n%store_save b\ndel a\nb = 'mine'")
        store.save(5, name="no variable")
        capsys.readouterr()
        stored.ok("%store_load --all")
        lines = capsys.readouterr().out.splitlines()
        assert stored.user_ns["a"] == 1
        assert stored.user_ns["b"] == "mine"
        assert lines[-1] == "1 object loaded, 2 not"
        assert any("'b' was not loaded: b exists" in line for line in lines)
        stored.ok("%store_load --all --force")
        assert stored.user_ns["b"] == [3]


class TestCell:
    def test_what_the_cell_returns_is_saved(self, stored, store):
        assert stored.ok("%%store_save total --tag sum\nnumbers = [1, 2]\nsum(numbers)") == 3
        (id_,) = store.find("total")
        assert store.load(id_) == 3
        assert store.describe(id_).tags == ("sum",)
        assert stored.user_ns["numbers"] == [1, 2]
        source = "%%store_save total --tag sum\nnumbers = [1, 2]\nsum(numbers)"
        assert store.describe(id_).origin["source"] == source

    def test_magics_work_inside(self, stored):
        stored.ok("%%store_save t\nx = %store_open\n1")
        assert stored.user_ns["x"] is not None

    def test_a_cell_without_a_value_is_not_run(self, stored):
        assert "returns nothing" in stored.usage_error("%%store_save t\nran = True")
        assert "ran" not in stored.user_ns

    def test_an_error_in_the_cell_is_its_own(self, stored, store):
        result = stored.run("%%store_save t\n1 / 0")
        assert isinstance(result.error_in_exec, ZeroDivisionError)
        assert len(store) == 0

    def test_a_name_is_needed(self, stored):
        assert "needs one name" in stored.usage_error("%%store_save\n1")


class TestMistakes:
    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("%store_load swep", "There is no object 'swep'; did you mean 'sweep'?"),
            ("%store_load DICT.1", "did you mean 'dict.1'?"),
            ("%store_load sweep as", "There is no object 'as'"),
            ("%store_load", "Load what?"),
            ("%store_load 99", "There is no object '99'"),
            ("%store_info ../etc/passwd", "There is no object '../etc/passwd'"),
            ("%store_save sweep --tga x", "%store_save has no option --tga; did you mean --tag?"),
            ("%store_save sweep --as", "see %store_save?"),
            ("%store_save 'sweep", "quote that is not closed"),
            ("%store_replace sweep", "see %store_replace?"),
            ("%store_list --limit many", "see %store_list?"),
            ("%store_diff sweep", "no version before"),
            ("%store_open nonsense://x", "nonsense"),
            ("%store_save", "Which variables?"),
        ],
    )
    def test_one_line_that_says_what_to_do(self, stored, line, said):
        stored.ok("sweep = {}\n%store_save sweep")
        assert said in stored.usage_error(line)

    def test_the_terminal_shows_one_line_without_traceback(self, stored, capsys):
        stored.run("%store_load nothing")
        captured = capsys.readouterr()
        assert captured.err.startswith("UsageError: There is no object 'nothing'")
        assert captured.err.count("\n") == 1
        assert "Traceback" not in captured.out + captured.err

    def test_the_cause_is_kept(self, stored):
        from gc3store import ObjectNotFoundError

        error = stored.run("%store_load nothing").error_in_exec
        assert type(error) is UsageError
        assert isinstance(error.__cause__, ObjectNotFoundError)


class TestWhichStore:
    def test_default_beside_the_notebook_said_once(self, shell, tmp_path, capsys):
        shell.ok("x = 1\n%store_save x")
        shell.ok("%store_list")
        out = capsys.readouterr().out
        assert out.count("gc3store.db") == 2  # said once, and the headline of the list
        assert out.startswith("Using sqlite:///")
        assert (tmp_path / "gc3store.db").is_file()

    def test_looking_creates_nothing(self, shell, tmp_path):
        shell.ok("%store_list")
        assert not (tmp_path / "gc3store.db").exists()

    def test_environment(self, shell, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("GC3STORE_URL", f"file://{tmp_path}/mine")
        shell.ok("x = 1\n%store_save x")
        assert (tmp_path / "mine").is_dir()
        assert "from GC3STORE_URL" in capsys.readouterr().out

    def test_configuration(self, shell, tmp_path, capsys):
        shell.ok("%config StoreMagics.url = 'sqlite:///configured.db'\nx = 1\n%store_save x")
        assert (tmp_path / "configured.db").is_file()

    def test_configuration_after_the_default_was_used(self, shell, tmp_path):
        shell.ok("%store_list\n%config StoreMagics.url = 'sqlite:///later.db'\nx = 1\n%store_save x")
        assert (tmp_path / "later.db").is_file()

    def test_a_store_in_a_variable(self, shell, tmp_path):
        shell.ok(
            "import gc3store\nmine = gc3store.make_store('sqlite:///v.db')\n%store_open mine\nx = 1\n%store_save x"
        )
        assert (tmp_path / "v.db").is_file()
        shell.ok("mine.close()")

    def test_read_only(self, stored):
        url = stored.ok("x = 1\n%store_save x\ns = %store_open\ns.url")
        stored.ok(f"%store_open {url} --read-only")
        stored.usage_error("%store_save x")
        assert stored.ok("y = %store_load x\ny") == 1

    def test_a_failed_open_leaves_the_store(self, stored, capsys):
        stored.ok("x = 1\n%store_save x")
        stored.usage_error("%store_open nonsense://x")
        assert stored.ok("y = %store_load x\ny") == 1

    def test_undo_reaches_the_store_that_was_open_then(self, stored, store):
        stored.ok("x = 1\n%store_save x\n%store_remove x\n%store_open sqlite:///another.db\n%store_undo")
        assert store.list() == ["int.1"]


class TestExtension:
    def test_help_documents_itself(self, shell, capsys):
        shell.ok("%store_save?")
        shell.ok("%store_load?")
        out = capsys.readouterr().out
        assert "%store_save sweep" in out
        assert "--tag" in out
        assert "Overwrite a variable" in out

    def test_importing_registers_nothing(self, plain_shell):
        plain_shell.ok("import gc3store, gc3store.jupyter")
        assert "store_save" not in plain_shell.magics_manager.magics["line"]

    def test_unload_restores_everything(self, plain_shell):
        shell = plain_shell

        def state():
            dispatcher = shell.strdispatchers.get("complete_command")
            return (
                {kind: dict(table) for kind, table in shell.magics_manager.magics.items()},
                set(shell.magics_manager.registry),
                list(shell.configurables),
                {k: list(v.chain) for k, v in dispatcher.strs.items()} if dispatcher else {},
                {k: list(v.chain) for k, v in dispatcher.regexs.items()} if dispatcher else {},
                [list(callbacks) for callbacks in shell.events.callbacks.values()],
            )

        def mine(line):
            return line

        shell.register_magic_function(mine, magic_name="store_load")
        shell.ok("%load_ext gc3store\n%unload_ext gc3store")  # IPython itself loads some magics lazily
        before = state()
        shell.ok("%load_ext gc3store")
        assert state() != before
        shell.ok("%unload_ext gc3store")
        assert state() == before
        shell.ok("%load_ext gc3store\n%reload_ext gc3store")
        shell.ok("x = 1\n%store_save x")

    def test_unload_closes_what_was_opened_and_not_given_away(self, shell):
        shell.ok(
            "%store_open sqlite:///a.db\nx = 1\n%store_save x\nkept = %store_open sqlite:///b.db\n%store_save x"
        )
        shell.ok("%unload_ext gc3store")
        assert shell.user_ns["kept"].load("int.1") == 1
        shell.user_ns["kept"].close()

    def test_config_lists_the_settings(self, shell, capsys):
        shell.ok("%config StoreMagics")
        out = capsys.readouterr().out
        for name in ("url", "limit", "keep_versions", "origin", "source"):
            assert f"StoreMagics.{name}=" in out

    def test_a_false_setting_is_refused(self, shell):
        shell.run("%config StoreMagics.limit = 0")
        assert shell.ok("%config StoreMagics.limit") == 50

    def test_settings_come_from_the_configuration(self, plain_shell):
        plain_shell.config.StoreMagics.limit = 3
        plain_shell.ok("%load_ext gc3store")
        assert plain_shell.ok("%config StoreMagics.limit") == 3


class TestSharedPath:
    """What the browser offers as "Copy as code" does the same when it is run."""

    @pytest.fixture(autouse=True)
    def filled(self, stored):
        stored.ok("a = [1]\nb = [2]\nc = [3]\n%store_save a --as 'first one'\n%store_save b")

    def state(self, shell, store):
        shown = {n: v for n, v in shell.user_ns.items() if isinstance(v, (list, dict)) and n[0] not in "_IO"}
        return repr(sorted(shown.items())), [
            (r.id, r.name, r.tags, store.load(r.id)) for r in store.records()
        ]

    @pytest.mark.parametrize(
        "act",
        [
            lambda store, ns: actions.load(store, ns, "list.1"),
            lambda store, ns: actions.load(store, ns, "list.1", variable="a1"),
            lambda store, ns: actions.load(store, ns, "list.1", variable="c", overwrite=True),
            lambda store, ns: actions.load_many(store, ns, ["list.1", "list.2"], variable="both"),
            lambda store, ns: actions.load_many(
                store, ns, ["list.1", "list.2"], variable="v", into="variables"
            ),
            lambda store, ns: actions.replace(store, ns, "list.1", "c"),
            lambda store, ns: actions.remove(store, ["list.1", "list.2"]),
            lambda store, ns: actions.label(store, "list.1", name="it's new", add=["x y", "z"]),
            lambda store, ns: actions.label(store, "list.1", name=None),
            lambda store, ns: actions.save(store, ns, "c", name="a name", tags=["t"]),
        ],
    )
    def test_the_line_does_what_the_click_did(self, stored, store, act, tmp_path):
        before = dict(stored.user_ns)
        data = {id_: store.export(id_) for id_ in store.list()}
        outcome = act(store, stored.user_ns)
        done = self.state(stored, store)
        # Back to where it was, and the line.
        for id_ in set(store.list()):
            store.remove(id_)
        for exported in data.values():
            store.restore(exported)
        stored.user_ns.clear()
        stored.user_ns.update(before)
        stored.ok(outcome.magic)
        again = self.state(stored, store)
        if "%store_save" in outcome.magic:  # the new version gets the next number
            done, again = (re.sub(r"list\.[34]", "list.n", repr(s)) for s in (done, again))
        assert again == done


class TestThirdPartyStores:
    @pytest.fixture
    def four(self, shell):
        shell.user_ns["four"] = FourMethods()
        shell.ok("%store_open four")
        return shell

    @pytest.fixture
    def listed(self, shell):
        shell.user_ns["listed"] = Lists()
        shell.ok("%store_open listed")
        return shell

    def test_save_load_replace_remove(self, four, capsys):
        four.ok("x = [1]\n%store_save x\ny = %store_load list.1\n%store_load list.1 as z")
        assert four.user_ns["y"] == four.user_ns["z"] == [1]
        four.ok("x = [2]\n%store_replace list.1 x")
        assert four.user_ns["four"].load("list.1") == [2]
        four.ok("%store_remove list.1")
        assert four.user_ns["four"].objects == {}
        assert "cannot be undone" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("%store_list", "FourMethods store does not list"),
            ("%store_save x --as y", "FourMethods store keeps no name"),
            ("%store_save x --tag y", "FourMethods store keeps no tags"),
            ("%store_diff list.1 list.1", "FourMethods store does not offer inspect()"),
            ("%store_tag list.1 a", "FourMethods store does not offer describe()"),
            ("%store_remove --all", "FourMethods store does not list"),
            ("%store_load --all", "FourMethods store does not list"),
            ("%store_load nothing.1", "KeyError: 'nothing.1'"),
        ],
    )
    def test_what_it_lacks_is_said(self, four, line, said):
        four.ok("x = [1]\n%store_save x")
        assert said in four.usage_error(line)

    def test_info_shows_what_there_is(self, four):
        assert "knows nothing more" in repr(four.ok("x = [1]\n%store_save x\n%store_info list.1"))

    def test_a_list_makes_numbers_and_suggestions(self, listed):
        listed.ok("x = [1]\n%store_save x")
        assert listed.ok("y = %store_load 1\ny") == [1]
        assert listed.ok("%store_list").ids == ["list.1"]
        assert listed.ok("%store_list LIS class:list").ids == ["list.1"]
        assert "did you mean 'list.1'?" in listed.usage_error("%store_load lst.1")
        assert "keeps no state" in listed.usage_error("%store_list state:NEW")

    def test_removing_everything_for_good_must_be_meant(self, listed):
        listed.ok("x = [1]\n%store_save x")
        assert "--no-undo" in listed.usage_error("%store_remove --all")
        listed.ok("%store_remove --all --no-undo")
        assert listed.user_ns["listed"].objects == {}

    def test_it_is_not_closed_on_unload(self, four, monkeypatch):
        closed = []
        monkeypatch.setattr(FourMethods, "close", lambda self: closed.append(self))
        four.ok("%unload_ext gc3store")
        assert closed == []


def test_nothing_is_left_outside_the_store(shell):
    """What can be undone is kept in memory and in temporary files that have no name."""
    shell.ok("x = 1\n%store_save x\n%store_list\n%store_remove x\n%store_undo")
    assert [name for name in os.listdir() if not name.startswith(("gc3store.db", "ipython"))] == []
