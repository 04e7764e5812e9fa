"""Defects of GC3Pie's own stores, measured there, that must not come back: where each is held."""

from __future__ import annotations

from pathlib import Path

import pytest

import gc3store
from gc3store import Persistable
from gc3store.testing import Node, in_fresh_process

ROOT = Path(__file__).parents[1]
CONTRACT = "gc3store/testing/contract.py"
HERE = "tests/test_defects.py"
EVERYWHERE = "tests/test_bad_input_everywhere.py"

#: What was wrong, and the tests that hold it now.
DEFECTS = {
    "lists, dictionaries and numbers cannot be saved": [
        (HERE, "test_anything_can_be_saved"),
        (CONTRACT, "test_c1_standard_objects_load_equal_in_a_fresh_process"),
        ("tests/gc3pie/test_writing.py", "test_what_gc3pie_could_not_load_is_refused"),
    ],
    "instances cannot be hashed, since they compare in a way of their own": [
        (HERE, "test_instances_are_hashable"),
        ("tests/test_identity.py", "test_equality_and_hashing_are_left_alone"),
    ],
    "objects of two stores compare equal if they have the same ID": [
        ("tests/test_identity.py", "test_objects_of_two_stores_with_the_same_id_differ"),
    ],
    "an ID equals its text and has another hash": [
        (HERE, "test_ids_are_plain_texts"),
        ("tests/gc3pie/test_reading.py", "test_ids_are_plain_texts"),
    ],
    "two objects that refer to each other overflow the stack": [
        (CONTRACT, "test_c4_graphs_keep_their_shape"),
        (CONTRACT, "test_c4_depth_is_not_bounded_by_the_recursion_limit"),
        ("tests/gc3pie/test_writing.py", "test_a_circle_is_refused_since_gc3pie_could_not_load_it"),
    ],
    "a save that fails leaves children without a parent": [
        (HERE, "test_a_failed_parent_leaves_no_orphans"),
        (CONTRACT, "test_c5_a_failed_graph_leaves_no_ids_in_memory"),
        ("tests/gc3pie/test_writing.py", "test_a_failed_save_changes_nothing"),
    ],
    "a save that fails leaves a truncated file that is listed": [
        (CONTRACT, "test_c5_a_failed_save_or_replace_changes_nothing"),
        (EVERYWHERE, "test_what_cannot_be_pickled"),
    ],
    "what was replaced by a new object cannot be loaded": [
        (HERE, "test_what_was_replaced_loads"),
        ("tests/gc3pie/test_writing.py", "test_replacing_and_removing"),
    ],
    "two stores draw the same ID, and one overwrites the other's object": [
        (HERE, "test_two_stores_never_overwrite_each_other"),
        (CONTRACT, "test_c11_several_processes_write_at_once"),
    ],
    "load returns an object as it was before somebody else changed it": [
        (CONTRACT, "test_c7_what_another_process_changed_is_seen"),
        ("tests/gc3pie/test_reading.py", "test_what_others_write_meanwhile_is_seen"),
    ],
    "a saved object is not the one that load returns": [
        (HERE, "test_a_saved_object_is_the_loaded_one"),
        (CONTRACT, "test_c7_load_gives_the_live_instance_of_a_persistable"),
    ],
    "after one copy of an object was saved, another stays as it was": [
        ("tests/test_identity.py", "test_an_older_instance_is_outdated_once_a_newer_was_loaded"),
        ("tests/test_identity.py", "test_a_job_that_comes_back_changed_updates_its_record"),
    ],
    "a changed part is not saved with what refers to it": [
        (HERE, "test_a_mutated_child_is_saved_with_its_parent"),
        (CONTRACT, "test_c4_changed_parts_are_saved_with_the_root"),
        ("tests/test_graphs.py", "test_their_changed_flag_is_not_relied_on"),
    ],
    "what was removed is there again, from a backup": [
        (HERE, "test_what_was_removed_does_not_come_back"),
        ("tests/gc3pie/test_writing.py", "test_what_was_removed_does_not_come_back_from_a_backup"),
    ],
    "removing what is not there is an error in one store and none in another": [
        (CONTRACT, "test_c8_a_missing_id_is_the_same_error_everywhere"),
        (EVERYWHERE, "test_ids_of_nothing"),
    ],
    "an ID is a path to any file, to be read, written and deleted": [
        (CONTRACT, "test_c2_what_cannot_be_an_id_is_refused"),
        (EVERYWHERE, "test_what_cannot_be_an_id"),
    ],
    "a planted pickle is run before it is refused": [
        (EVERYWHERE, "test_a_planted_pickle_does_not_run"),
        (CONTRACT, "test_c9_only_load_runs_what_a_payload_names"),
    ],
    "an unknown scheme is an error of the programmer's": [(EVERYWHERE, "test_a_misspelt_scheme")],
    "registered constructors of known schemes are never called": [
        ("tests/test_registry.py", "test_registering_replaces_built_in_schemes"),
    ],
    "options that are misspelt, or mean nothing, are ignored": [
        (EVERYWHERE, "test_misspelt_keywords"),
        (CONTRACT, "test_c14_misspelt_keywords_are_errors"),
    ],
    "the method that brings old objects up to date is not given any": [
        ("tests/test_graphs.py", "test_setstate_that_fills_in_defaults_is_no_change"),
    ],
    "passwords in URLs are shown and logged": [
        ("tests/test_secrets.py", "test_no_error_shows_the_password"),
        ("tests/test_secrets.py", "test_nothing_on_a_server_shows_the_password"),
    ],
    # Of IPython's %store.
    "a variable that cannot be stored again takes its last version with it": [
        ("tests/jupyter/test_magics.py", "test_what_cannot_be_saved_leaves_the_last_version"),
    ],
    "listing loads everything": [
        ("tests/jupyter/test_magics.py", "test_it_does_not_load"),
        ("tests/jupyter/test_looking.py", "test_by_magics"),
    ],
    "loading overwrites variables": [
        ("tests/jupyter/test_magics.py", "test_another_value_is_not_overwritten"),
    ],
    "classes of the notebook cannot be stored": [
        (
            "tests/jupyter/test_magics_kernel.py",
            "test_what_a_notebook_defines_loads_in_a_fresh_kernel_and_the_live_class_wins",
        ),
    ],
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_is_held(defect):
    for file, name in DEFECTS[defect]:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file} does not hold {name} any more"


class TestDefectsOfTheOriginal:
    """Those that no other test is about."""

    def test_anything_can_be_saved(self, store):
        assert [store.load(store.save(obj)) for obj in ([1], {}, 1)] == [[1], {}, 1]

    def test_instances_are_hashable(self):
        assert isinstance(hash(Persistable()), int)

    def test_a_failed_parent_leaves_no_orphans(self, store):
        with pytest.raises(gc3store.UnpicklableError):
            store.save(Node((x for x in "abc"), Node("child")))
        assert store.list() == []

    def test_what_was_replaced_loads(self, store):
        id_ = store.save(Node("old"))
        store.replace(id_, Node("new"))
        assert in_fresh_process(_value, store, id_) == "new"

    def test_two_stores_never_overwrite_each_other(self, place):
        one, two = place.open(), place.open()
        ids = [store.save([i]) for i in range(5) for store in (one, two)]
        assert len(set(ids)) == 10
        assert [two.load(id_) for id_ in ids] == [[i] for i in range(5) for _ in (one, two)]

    def test_a_saved_object_is_the_loaded_one(self, store):
        node = Node(1)
        assert store.load(store.save(node)) is node

    def test_a_mutated_child_is_saved_with_its_parent(self, store):
        parent = Node("parent", Node([1]))
        store.save(parent)
        parent.links[0].value.append(2)
        store.save(parent)
        assert store.load(parent.links[0].persistent_id, fresh=True).value == [1, 2]

    def test_what_was_removed_does_not_come_back(self, place):
        store = place.open()
        id_ = store.save(Node(1))
        store.replace(id_, Node(2))
        store.remove(id_)
        assert place.open().list() == []
        assert not [name for name in place.bytes() if id_ in name]

    def test_ids_are_plain_texts(self, store):
        id_ = store.save(Node(1))
        assert type(id_) is type(Node.persistent_id.fget(store.load(id_))) is str

        class TheirId(str):
            pass

        assert store.load(TheirId(id_)).value == 1
        assert {store.list()[0]: 1}[TheirId(id_)] == 1


def _value(store, id_):
    try:
        return store.load(id_).value
    finally:
        store.close()
