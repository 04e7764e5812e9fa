"""The random histories of `tests.test_state_machine`, on database servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import Place
from tests.servers import KINDS, new_place
from tests.test_state_machine import LONG, QUICK, StoreMachine

pytestmark = pytest.mark.server


def machine_on(kind: str) -> type[StoreMachine]:
    """The machine on a server, each of its histories in tables of its own."""

    class ServerMachine(StoreMachine):
        def make_place(self) -> Place:
            return Place("server", new_place(kind), Path(), [])

    return ServerMachine


@pytest.mark.parametrize("kind", KINDS)
def test_histories(kind):
    run_state_machine_as_test(machine_on(kind), settings=settings(QUICK, max_examples=15))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_long_histories(kind):
    run_state_machine_as_test(machine_on(kind), settings=settings(LONG, max_examples=300))
