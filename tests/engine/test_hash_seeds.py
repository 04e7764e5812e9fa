"""Objects with sets, which another process iterates in another order."""

from __future__ import annotations

import os

from gc3store import make_store
from gc3store.testing import Node, in_new_interpreter
from tests.conftest import place_in

WORDS = {f"word {number}" for number in range(50)}


def save_again(url, id_, part_id):
    """Load and save: unchanged, with a part that changed, and changed."""
    with make_store(url) as store:
        root = store.load(id_)
        store.save(root)
        store.save_many([root, root.links[0]])
        store.save([root])
        unchanged = [store.describe(i).revision for i in (id_, part_id)]
        root.links[0].value["inner"] = frozenset([*WORDS, "another"])
        store.save(root)
        part_changed = [store.describe(i).revision for i in (id_, part_id)]
        root.value[0].discard("word 1")
        store.save(root)
        both_changed = [store.describe(i).revision for i in (id_, part_id)]
        return unchanged, part_changed, both_changed


def save_all_again(calls):
    return list(WORDS), [save_again(*call) for call in calls]


def test_a_loaded_set_that_is_saved_in_another_order_keeps_its_revision(tmp_path, monkeypatch):
    calls = []
    for kind in ("directory", "sqlite"):
        url = place_in(tmp_path, kind).url
        with make_store(url) as store:
            part = Node({"inner": frozenset(WORDS)})
            root = Node([set(WORDS)], part)
            root.extra = {word: number for number, word in enumerate(WORDS)}
            calls.append((url, store.save(root), part.persistent_id))
    monkeypatch.setenv("PYTHONHASHSEED", "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1")
    order, revisions = in_new_interpreter(save_all_again, calls)
    assert order != list(WORDS)
    assert revisions == [([1, 1], [1, 2], [2, 2])] * 2
    for url, id_, _ in calls:
        with make_store(url) as store:
            root = store.load(id_)
            assert root.value == [WORDS - {"word 1"}]
            assert root.links[0].value == {"inner": WORDS | {"another"}}
