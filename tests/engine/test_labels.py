"""Names, tags, prefixes and origins: what they are given to, and that none is lost."""

from __future__ import annotations

import threading

import pytest

from gc3store import ObjectNotFoundError, OptionError
from gc3store.testing import Node, Point
from tests.samples import Job


def test_what_is_given_with_a_save_is_for_the_root_alone(place):
    store, other = place.open(), place.open()
    part = Node("part")
    root = Node("root", part)
    id_ = store.save(root, prefix="Sweep", name="first", tags=["a"], origin={"cell": 7})
    assert id_.startswith("Sweep.")
    assert part.persistent_id.startswith("Node.")
    for looking in (store, other):
        record, of_part = looking.describe(id_), looking.describe(part.persistent_id)
        assert (record.name, record.tags, record.origin.get("cell")) == ("first", ("a",), 7)
        assert (of_part.name, of_part.tags, of_part.origin.get("cell")) == (None, (), None)
    assert other.find("first") == [id_]


def test_a_prefix_is_for_new_records(store):
    node = Node(1)
    id_ = store.save(node)
    assert store.save(node, prefix="Other") == id_
    assert store.save(Node(2), prefix="Other").startswith("Other.")
    assert store.save(Node(3)).startswith("Node.")


def test_the_parts_of_a_version_get_no_labels(store):
    part = Node("part")
    id_ = store.save_version([part], name="state", tags=["a"])
    assert store.find("state") == [id_]
    record = store.describe(part.persistent_id)
    assert (record.name, record.tags) == (None, ())


def test_a_replacement_gives_its_labels_to_the_record_alone(store):
    id_ = store.save(Node("old"), name="before", tags=["before"])
    part = Node("part")
    store.replace(id_, Node("new", part))
    assert (store.describe(id_).name, store.describe(id_).tags) == ("before", ("before",))
    store.replace(id_, Node("newer", part), name="after", tags=["after"])
    assert (store.describe(id_).name, store.describe(id_).tags) == ("after", ("after",))
    record = store.describe(part.persistent_id)
    assert (record.name, record.tags) == (None, ())


def test_a_tag_that_is_given_twice_is_kept_once_in_its_first_place(any_store):
    tags = ["b", "a", "b", "c", "a"]
    saved = any_store.save(Point(1), tags=tags)
    updated, replaced = any_store.save(Point(2)), any_store.save(Point(3))
    any_store.update(updated, tags=iter(tags))
    any_store.replace(replaced, Point(4), tags=tags)
    version = any_store.save_version(Point(5), name="version", tags=tags)
    for id_ in (saved, updated, replaced, version):
        assert any_store.describe(id_).tags == ("b", "a", "c")
    assert any_store.list(tag="a") == [saved, updated, replaced, version]
    assert any_store.facets("tags")["a"] == 4


def test_labels_are_taken_away_by_empty_ones(store):
    node = Node(1)
    id_ = store.save(node, name="name", tags=["a"])
    store.update(id_, name=None)
    assert (store.describe(id_).name, store.describe(id_).tags) == (None, ("a",))
    store.save(node, tags=[])
    assert store.describe(id_).tags == ()
    store.save(node, name="again")
    store.update(id_, name="")
    assert store.describe(id_).name is None
    assert store.describe(id_).revision == 1


def test_a_label_of_another_record_with_the_same_number_is_left_alone(store):
    id_ = store.save(Point(1), name="name")
    number = id_.rpartition(".")[2]
    with pytest.raises(ObjectNotFoundError):
        store.update(f"Other.{number}", name="other")
    assert store.describe(id_).name == "name"


@pytest.mark.parametrize("same", [True, False], ids=["one store", "two stores"])
def test_labels_that_two_threads_change_are_both_kept(place, same):
    """One changes the name, the other the tags: neither puts back what it read before."""
    store = place.open(durable=False)
    other = store if same else place.open(durable=False)
    ids = store.save_many(map(Point, range(5)))
    errors = []

    def work(change):
        try:
            for number in range(60):
                for id_ in ids:
                    change(id_, number)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=[lambda id_, number: store.update(id_, name=f"name {number}")]),
        threading.Thread(target=work, args=[lambda id_, number: other.update(id_, tags=[f"tag {number}"])]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for id_ in ids:
        record = store.describe(id_)
        assert (record.name, record.tags, record.revision) == ("name 59", ("tag 59",), 1)


def test_a_label_that_is_changed_while_the_record_is_replaced_is_kept(place):
    store, other = place.open(durable=False), place.open(durable=False)
    id_ = store.save(0, name="name")
    errors = []

    def work():
        try:
            for number in range(1, 151):
                other.replace(id_, number)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for number in range(150):
        store.update(id_, tags=[f"tag {number}"])
        assert store.describe(id_).tags == (f"tag {number}",)
    thread.join()
    assert errors == []
    record = store.describe(id_)
    assert (record.name, record.tags, record.revision) == ("name", ("tag 149",), 151)
    assert store.load(id_) == 150


@pytest.mark.parametrize("state", ["\udc80 running", "RUN\ud800"])
def test_a_state_with_characters_that_are_not_valid_text_is_shown_escaped(any_store, state):
    """It hinders no save; the object itself keeps what it has."""
    id_ = any_store.save(Job("a", state=state))
    shown = state.encode("utf-8", "backslashreplace").decode()
    assert any_store.describe(id_).state == shown
    assert any_store.list(state=shown) == [id_]
    assert any_store.load(id_, fresh=True).state == state


@pytest.mark.parametrize("bad", ["\udc80", "a\ud800"])
def test_labels_with_characters_that_are_not_valid_text_are_refused(store, bad):
    id_ = store.save(Point(1), name="name", tags=["tag"])
    for call in (
        lambda: store.save(Point(2), name=bad),
        lambda: store.save(Point(2), tags=["good", bad]),
        lambda: store.update(id_, name=bad),
        lambda: store.update(id_, tags=[bad]),
        lambda: store.replace(id_, Point(2), name=bad),
        lambda: store.save_version(Point(2), name=bad),
    ):
        with pytest.raises(OptionError):
            call()
    assert store.list() == [id_]
    record = store.describe(id_)
    assert (record.name, record.tags, record.revision) == ("name", ("tag",), 1)
