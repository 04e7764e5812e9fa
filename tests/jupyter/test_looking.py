"""Looking at a store from a notebook leaves no trace in it (C9), nor does loading."""

import os

import pytest

from gc3store import make_store
from gc3store.jupyter.service import Service
from tests.grounds import GROUNDS

LOOKING = """
%store_open {url}
%store_list
%store_list {word} --sort -size --limit 2
%store_info {id}
%store_info {other}
%store_diff {id} {other}
%store_browse
%store_open
x = %store_load {id}
%store_load {id} {other} as several
%store_load 99999
%store_remove 99999
%store_save nothing_of_that_name
"""


def trace(folder):
    """Return names and contents of all files, and their times."""
    return {
        path: (os.stat(path).st_mtime_ns, path.read_bytes()) if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture(params=["directory", "sqlite", "gc3pie directory", "gc3pie table"])
def ground(request, tmp_path, monkeypatch):
    monkeypatch.setenv("GC3PIE_ID_FILE", str(tmp_path / "ids" / "next_id.txt"))
    ground = GROUNDS[request.param](tmp_path / "place")
    yield ground
    ground.close()


def test_by_magics(ground, shell):
    before = trace(ground.folder)
    id_, other, _ = ground.ids
    for line in LOOKING.format(url=ground.url, id=id_, other=other, word="Point").split("\n"):
        shell.run(line)
    assert len(shell.user_ns["several"]) == 2
    assert shell.user_ns["x"] is not None
    shell.ok("%unload_ext gc3store")
    assert trace(ground.folder) == before


def test_in_the_browser(ground):
    before = trace(ground.folder)
    with make_store(ground.url) as store:
        service = Service(store, {})
        id_ = ground.ids[0]
        query = {"text": "", "filters": {}, "order": "-size"}
        target = {"ids": ground.ids}
        for kind, body in (
            ("rows", {"query": query, "offset": 0, "limit": 10, "locate": id_, "from": 0}),
            (
                "rows",
                {"query": {**query, "text": "point", "filters": {"cls": ["x"]}}, "offset": 0, "limit": 10},
            ),
            ("count", {"query": query}),
            ("facets", {"query": query}),
            ("detail", {"id": id_}),
            ("total", {"target": target}),
            ("ids", {"query": query, "offset": 0, "limit": 10}),
            ("suggest", {"target": target}),
            ("check", {"variable": "x"}),
            ("inspect", {"id": id_}),
            ("preview", {"id": id_}),
            ("load", {"target": target, "variable": "x", "into": "dict"}),
            ("variables", {}),
        ):
            reply = service.answer({"kind": kind, **body})
            assert reply["ok"], reply
        assert len(service.namespace["x"]) == 3
        for kind, body in (
            ("remove", {"target": {"ids": ["Point.99999"]}}),
            ("replace", {"id": "Point.99999", "variable": "x"}),
            ("label", {"id": "Point.99999", "name": "x"}),
            ("save", {"variable": "nothing_of_that_name"}),
        ):
            assert not service.answer({"kind": kind, **body})["ok"]
        service.close()
    assert trace(ground.folder) == before
