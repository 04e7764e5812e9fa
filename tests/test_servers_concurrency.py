"""Processes, threads and forks on stores on database servers: the tests of `tests.test_concurrency`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import test_concurrency as local
from tests.conftest import Place
from tests.servers import KINDS, new_place

pytestmark = pytest.mark.server


@pytest.fixture(params=KINDS)
def place(request):
    place = Place("server", new_place(request.param), Path(), [])
    yield place
    for store in place.opened:
        store.close()


# Those that ask for a place run here with the one above.
for _name, _test in vars(local).items():
    if _name.startswith("test_") and {"place", "store"} & set(
        _test.__code__.co_varnames[: _test.__code__.co_argcount]
    ):
        globals()[_name] = _test
