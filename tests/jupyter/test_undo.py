"""Taking back what a magic did: more than once, too much, too often, and with a store that fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gc3store import FilesystemStore, StoreUnavailableError, make_store, register


class Troubled(FilesystemStore):
    """Shows large objects, or cannot put back more than some."""

    size = None
    left = None

    def __init__(self, url, **options):
        super().__init__(url.replace("troubled:", "file:"), **options)

    def describe(self, id_):
        return self._shown(super().describe(id_))

    def records(self, query=None):
        return map(self._shown, super().records(query))

    def _shown(self, record):
        return record if self.size is None else replace(record, size=self.size)

    def restore(self, data, **options):
        if self.left is not None:
            if self.left == 0:
                raise StoreUnavailableError("The disk is away for a moment.")
            Troubled.left -= 1
        return super().restore(data, **options)


@pytest.fixture(params=["sqlite", "directory"])
def place(request, shell, tmp_path):
    """Where the store is that the shell has opened."""
    url = f"sqlite:///{tmp_path}/test.db" if request.param == "sqlite" else f"file://{tmp_path}/results"
    shell.ok(f"%store_open {url}")
    return url


@pytest.fixture
def troubled(shell, tmp_path, monkeypatch):
    """A shell with a store in trouble; the store opened once more, without any."""
    register("troubled", Troubled)
    for name in ("size", "left"):
        monkeypatch.setattr(Troubled, name, None)
    shell.ok(f"%store_open troubled://{tmp_path}/results\na, b, c = 1, [2], {{3}}\n%store_save a b c")
    with make_store(tmp_path / "results") as store:
        yield store


def names(store):
    return [record.name for record in store.records()]


def test_each_undo_takes_back_one_action_and_none_twice(shell, place):
    shell.ok("x = [1]\n%store_save x\n%store_tag x --name y\n%store_remove y")
    with make_store(place) as store:
        assert store.list() == []
        shell.ok("%store_undo")
        assert names(store) == ["y"]
        store.update("list.1", name="z")  # the removal must not be taken back again
        shell.ok("%store_undo")
        assert names(store) == ["x"]
        assert shell.usage_error("%store_undo") == "There is nothing to undo."
        assert names(store) == ["x"]
        assert store.load("list.1") == [1]


def test_what_was_put_back_can_be_removed_and_put_back_again(shell, place):
    shell.ok("x = [1]\n%store_save x --tag a")
    with make_store(place) as store:
        before = store.describe("list.1")
        for _ in range(2):
            shell.ok("%store_remove x")
            assert store.list() == []
            shell.ok("%store_undo")
            assert store.describe("list.1") == before
        assert shell.usage_error("%store_undo") == "There is nothing to undo."


def test_twenty_actions_are_kept(shell, place):
    shell.ok("x = [1]\n%store_save x")
    for number in range(22):
        shell.ok(f"%store_tag list.1 --name n{number}")
    with make_store(place) as store:
        for number in range(20, 0, -1):
            shell.ok("%store_undo")
            assert names(store) == [f"n{number}"]
        assert shell.usage_error("%store_undo") == "There is nothing to undo."
        assert names(store) == ["n1"]


@pytest.mark.parametrize("removed", ["a", "a b c", "--all"])
def test_what_is_too_much_to_keep_is_not_removed(shell, troubled, removed):
    Troubled.size = 2 * 10**9 // {"a": 1, "a b c": 3, "--all": 3}[removed] + 1
    assert "too much" in shell.usage_error(f"%store_remove {removed}")
    assert names(troubled) == ["a", "b", "c"]
    assert shell.usage_error("%store_undo") == "There is nothing to undo."
    shell.ok(f"%store_remove {removed} --no-undo")
    assert names(troubled) == ([] if removed != "a" else ["b", "c"])
    assert shell.usage_error("%store_undo") == "There is nothing to undo."


def test_what_is_just_not_too_much_is_kept(shell, troubled):
    Troubled.size = 2 * 10**9 // 3
    shell.ok("%store_remove --all")
    assert names(troubled) == []
    Troubled.size = None
    shell.ok("%store_undo")
    assert names(troubled) == ["a", "b", "c"]


def test_an_undo_that_fails_half_way_can_be_repeated(shell, troubled):
    """What was put back by then is not put back twice."""
    before = list(troubled.records())
    shell.ok("%store_remove a b c")
    for left in (1, 0, 1):
        Troubled.left = left
        assert isinstance(shell.run("%store_undo").error_in_exec, Exception)
    assert len(troubled) == 2
    Troubled.left = None
    shell.ok("%store_undo")
    assert list(troubled.records()) == before
    assert [troubled.load(record.id) for record in before] == [1, [2], {3}]
    assert shell.usage_error("%store_undo") == "There is nothing to undo."
