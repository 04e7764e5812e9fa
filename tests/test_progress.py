"""Progress bars: on all that can take long, on standard error, and only when it does take long."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from gc3store import copy
from gc3store.engine import writer
from gc3store.support import progress
from gc3store.testing import Point, in_new_interpreter

from .conftest import place_in


def _copy(store, ids, tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    with place_in(folder, "directory").open(durable=False) as target:
        copy(store, target)


LONG = {
    "saving": lambda store, ids, _: store.save_many(Point(i) for i in range(5)),
    "loading": lambda store, ids, _: list(store.load_many(ids)),
    "removing": lambda store, ids, _: store.remove_many(ids),
    "looking inside": lambda store, ids, _: store.table(columns=["y"]),
    "looking inside, attributes": lambda store, ids, _: store.attributes(),
    "copying": _copy,
    "filling columns": lambda store, ids, _: store.fill_columns(),
}


@pytest.mark.parametrize("long", [True, False])
@pytest.mark.parametrize("what", LONG)
def test_a_bar_appears_only_when_it_takes_long(place, what, long, tmp_path, monkeypatch, capsys):
    """Also where there are few objects: each may be large."""
    pytest.importorskip("pandas")
    with place.open(durable=False) as store:
        ids = store.save_many(Point(i) for i in range(5))
    monkeypatch.setattr(progress, "DELAY", 0 if long else 3600)  # whatever the machine
    store = place.open(durable=False, columns={"x": "x"})
    capsys.readouterr()
    LONG[what](store, ids, tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert what.partition(",")[0] in err if long else err == ""


def _counts():
    """Return what the bars that are shown have counted."""
    from tqdm.auto import tqdm

    return [bar.n for bar in tqdm._instances]


@pytest.mark.parametrize("slow", [False, True])
def test_a_bar_counts_what_is_done_and_not_what_was_taken(place, slow, monkeypatch, capsys):
    """Also where objects come so slowly that each is saved before the next one is there."""
    monkeypatch.setattr(progress, "DELAY", 0)
    monkeypatch.setattr(writer, "PATIENCE", 0 if slow else 3600)  # whatever the machine
    total, batch = (25, 1) if slow else (2500, 1000)
    store, other = place.open(durable=False), place.open()
    seen = []

    def points():
        for number in range(total):
            if number % (total // 5) == 0 and place.kind == "directory":
                assert len(list(place.path.glob("*.gc3"))) == number // batch * batch
            seen.append((number // batch * batch, _counts()))
            yield Point(number)

    ids = store.save_many(points())
    assert all(counts == ([count] if count else []) for count, counts in seen)
    seen.clear()
    for number, _ in enumerate(store.load_many(ids)):
        seen += [count - number for count in _counts()]
    assert seen
    assert set(seen) == {0}
    assert _counts() == []
    capsys.readouterr()
    store.remove_many(ids)
    shown = [int(n) for n in re.findall(rf"(\d+)/{total} ", capsys.readouterr().err)]
    assert shown[0] == 1  # the first batch
    assert len(other) == 0


def test_all_items_come_through_in_order(monkeypatch, capsys):
    monkeypatch.setattr(progress, "DELAY", 0)
    for count in range(4):
        assert list(progress.progress(range(count), "walking")) == list(range(count))
        assert list(progress.progress(iter(range(count)), "walking")) == list(range(count))
    assert "/3 " in capsys.readouterr().err
    assert list(progress.progress(range(9), "walking", show=False)) == list(range(9))
    assert capsys.readouterr().err == ""


def _imports_of(url):
    from gc3store import make_store

    progress.DELAY = 3600  # whatever the machine
    with make_store(url, durable=False) as store:
        ids = store.save_many(range(2000))
        list(store.load_many(ids))
        store.remove_many(ids)
    return "tqdm" in sys.modules


def test_what_is_short_does_not_even_import_the_bar(place):
    assert in_new_interpreter(_imports_of, place.url) is False


def test_the_command_shows_a_bar_in_a_terminal_only(place):
    with place.open(durable=False) as store:
        store.save_many(Point(i) for i in range(5))
    code = "import sys; from gc3store import cli; from gc3store.support import progress; "
    code += "progress.DELAY = 0; sys.exit(cli.main())"
    command = [sys.executable, "-c", code, "verify", place.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("5 verified, 0 damaged\n", "")
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=there, text=True, check=True)
    assert done.stdout == "5 verified, 0 damaged\n"
    assert b"verifying" in os.read(here, 65536)
    os.close(there)
    os.close(here)
