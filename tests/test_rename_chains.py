"""Classes that were renamed more than once: by their own names, by those of their modules, and under a trust list."""

import sys
import types

import pytest

import gc3store
from gc3store import make_store
from gc3store.errors import MissingClassError, OptionError, UntrustedError

NAMES = ("first", "second", "third")


@pytest.fixture
def rename():
    """Rename as `gc3store.rename` does, until the test ends."""
    said = []

    def rename(old, new):
        said.append(old)
        gc3store.rename(old, new)

    yield rename
    for old in said:
        gc3store.rename(old, None)


@pytest.fixture
def saved(place, monkeypatch):
    """The ID of an object of `first.Run`; afterwards there is only `third`, with a Run and a Job."""
    monkeypatch.setitem(sys.modules, "first", module("first", "Run"))
    id_ = place.open().save(sys.modules["first"].Run(7))
    monkeypatch.delitem(sys.modules, "first")
    monkeypatch.setitem(sys.modules, "third", module("third", "Run", "Job"))
    return id_


def module(name, *classes):
    made = types.ModuleType(name)
    for cls in classes:
        source = f"class {cls}:\n    def __init__(self, size):\n        self.size = size\n"
        exec(source, made.__dict__)
    return made


CHAINS = {
    "classes": ([("first.Run", "second.Task"), ("second.Task", "third.Job")], "third.Job"),
    "classes, the last first": ([("second.Task", "third.Job"), ("first.Run", "second.Task")], "third.Job"),
    "modules": ([("first", "second"), ("second", "third")], "third.Run"),
    "a class, then its module": ([("first.Run", "second.Job"), ("second", "third")], "third.Job"),
    "a module, then the class": ([("first", "second"), ("second.Run", "third.Job")], "third.Job"),
    "a class within its module, which moves": ([("first.Run", "first.Job"), ("first", "third")], "third.Job"),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_an_object_is_of_the_class_at_the_end(place, saved, rename, chain):
    renames, last = CHAINS[chain]
    for old, new in renames:
        rename(old, new)
    store = place.open()
    (name,) = store.imports(saved)
    assert (name.path, name.instead, name.found) == ("first.Run", last, True)
    assert gc3store.inspection.class_path(store.inspect(saved)) == "first.Run"  # as it is stored
    found = store.load(saved)
    assert f"{type(found).__module__}.{type(found).__qualname__}" == last
    assert found.size == 7
    # The last name alone is what is trusted.
    assert type(place.open(trust=[last]).load(saved)) is type(found)
    for other in ("first.Run", "first", "second.Task", "second.Job", "second.Run", "second"):
        with pytest.raises(UntrustedError) as caught:
            place.open(trust=[other]).load(saved)
        assert caught.value.name == last


@pytest.mark.parametrize("chain", CHAINS)
def test_a_class_that_is_missing_at_the_end_is_told_by_its_last_name(
    place, saved, rename, monkeypatch, chain
):
    renames, last = CHAINS[chain]
    for old, new in renames:
        rename(old, new)
    monkeypatch.delitem(sys.modules, "third")
    with pytest.raises(MissingClassError) as caught:
        place.open().load(saved)
    assert caught.value.missing == last
    assert place.open().load(saved, missing="placeholder").size == 7


def test_a_link_that_is_taken_back(place, saved, rename, monkeypatch):
    rename("first.Run", "second.Run")
    rename("second.Run", "third.Run")
    assert type(place.open().load(saved)).__module__ == "third"
    rename("second.Run", None)
    with pytest.raises(MissingClassError) as caught:
        place.open().load(saved)
    assert caught.value.missing == "second.Run"
    rename("first.Run", "third.Job")  # another way
    assert type(place.open().load(saved)).__qualname__ == "Job"


@pytest.mark.parametrize(
    "renames",
    [
        [("first.Run", "first.Run")],
        [("first", "first")],
        [("first.Run", "second.Run"), ("second.Run", "third.Run"), ("third.Run", "first.Run")],
        [("second", "third"), ("third", "first"), ("first", "second")],
        [("first.Run", "second.Run"), ("second", "first")],
        [("second", "first"), ("first.Run", "second.Run")],
        [("first.Run", "second.Run"), ("second", "third"), ("third.Run", "first.Run")],
    ],
)
def test_a_circle_is_refused_and_changes_nothing(place, saved, rename, renames):
    *fine, (old, new) = renames
    for pair in fine:
        rename(*pair)
    (before,) = place.open().imports(saved)
    with pytest.raises(OptionError, match="circle"):
        rename(old, new)
    assert place.open().imports(saved) == [before]


def test_what_resembles_a_circle_and_is_none(place, saved, rename):
    rename("first.Run", "second.Run")
    rename("second.Other", "first.Run")
    rename("second", "third")
    assert type(place.open().load(saved)).__module__ == "third"


def test_what_is_saved_again_has_the_last_name(place, saved, rename):
    for old, new in CHAINS["classes"][0]:
        rename(old, new)
    with place.open() as store:
        store.replace(saved, store.load(saved))
    for old, _ in CHAINS["classes"][0]:
        rename(old, None)
    assert type(place.open().load(saved)).__qualname__ == "Job"
    assert place.open().describe(saved).cls == "third.Job"


def test_references_are_to_objects_of_the_last_class(place, rename, monkeypatch):
    source = "import gc3store\nclass Run(gc3store.Persistable):\n    pass\n"
    for name in NAMES:
        made = types.ModuleType(name)
        exec(source, made.__dict__)
        monkeypatch.setitem(sys.modules, name, made)
    inner, outer = sys.modules["first"].Run(), sys.modules["second"].Run()
    outer.run = inner
    id_ = place.open().save(outer)
    del inner, outer
    rename("first", "second")
    rename("second", "third")
    found = make_store(place.url, trust=["third"])
    place.opened.append(found)
    loaded = found.load(id_)
    assert [type(obj).__module__ for obj in (loaded, loaded.run)] == ["third", "third"]
