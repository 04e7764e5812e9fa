"""Random histories in which processes are killed in the middle of what they do.

A child process works on a store and tells, step by step, what it is about to do and what
is done; it is killed at a random moment. The next one must find everything that was said
to be done, for the step under way the state before or after it, and no ID given twice.
"""

from __future__ import annotations

import json
import os
import random
import time

import pytest

from gc3store import make_store
from gc3store.ids import number_of
from gc3store.testing import FreshProcess, Point, in_fresh_process

CYCLES = 6


def live(url, journal, state, seed):
    """Work until killed; `journal` gets a line before and after each step."""
    rng = random.Random(seed)
    store = make_store(url)
    known = dict(state)
    out = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(*what):
        os.write(out, json.dumps(what).encode() + b"\n")

    i = 0
    while True:
        i += 1
        value = f"{seed}.{i}"
        step = rng.choice(["save", "save_many", "replace", "remove", "save large"])
        if step == "replace" and known:
            id_ = rng.choice(sorted(known))
            tell("begin", step, {id_: value})
            store.replace(id_, Point(value))
            known[id_] = value
            tell("end", step, {id_: value})
        elif step == "remove" and len(known) > 3:
            id_ = rng.choice(sorted(known))
            tell("begin", step, {id_: None})
            store.remove(id_)
            del known[id_]
            tell("end", step, {id_: None})
        elif step.startswith("save"):
            values = [f"{value}.{n}" for n in range(3 if step == "save_many" else 1)]
            pad = os.urandom(1_200_000) if step == "save large" else None
            tell("begin", step, values)
            ids = store.save_many([Point(v, pad) for v in values])
            known.update(zip(ids, values, strict=True))
            tell("end", step, dict(zip(ids, values, strict=True)))


def look(url):
    """Return what is there, after checking that it is whole and that work goes on."""
    with make_store(url) as store:
        found = {}
        for id_ in store.list():
            store.verify(id_)
            assert store.describe(id_).error is None
            found[id_] = store.load(id_).x
        id_ = store.save(Point("look"))
        assert id_ not in found
        store.remove(id_)
        return found, number_of(id_)


@pytest.mark.parametrize(
    "cycles", [CYCLES, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_killed_again_and_again(place, tmp_path, cycles):
    rng = random.Random(cycles)
    state: dict[str, str] = {}
    given = 0
    for cycle in range(cycles):
        journal = tmp_path / f"journal {cycle}"
        child = FreshProcess(live, place.url, str(journal), state, cycle)
        deadline = time.monotonic() + 60
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 4):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.random() * 0.2)
        child.kill()
        lines = [json.loads(line) for line in journal.read_bytes().splitlines() if line.endswith(b"]")]
        pending = None
        for phase, step, what in lines:
            pending = None if phase == "end" else (step, what)
            if phase == "end":
                for id_, value in what.items():
                    if step.startswith("save"):
                        assert number_of(id_) > given, f"{id_} was given twice"
                        given = number_of(id_)
                    if value is None:
                        del state[id_]
                    else:
                        state[id_] = value
        found, highest = in_fresh_process(look, place.url)
        extra = {id_: value for id_, value in found.items() if state.get(id_) != value}
        missing = {id_ for id_ in state if id_ not in found}
        if pending is None:
            assert (extra, missing) == ({}, set())
        elif pending[0] == "remove":
            assert extra == {}
            assert missing <= set(pending[1])
        elif pending[0] == "replace":
            assert missing == set()
            assert extra in ({}, pending[1])
        else:
            assert missing == set()
            assert all(number_of(id_) > given for id_ in extra)
            whole = list(extra.values())
            assert whole == pending[1][: len(whole)]
            assert place.kind == "directory" or whole in ([], pending[1])
        assert highest > given
        state, given = found, highest
