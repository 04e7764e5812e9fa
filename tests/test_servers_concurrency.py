"""Processes, threads and forks on stores on database servers: the tests of `tests.test_concurrency`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import test_concurrency as local
from tests.conftest import Place
from tests.servers import KINDS, database

pytestmark = pytest.mark.server

_count = iter(range(10**9))


@pytest.fixture(scope="module", params=KINDS)
def url(request):
    with database(request.param) as url:
        yield url


@pytest.fixture
def place(url):
    place = Place("server", f"{url}#table=t{next(_count)}", Path(), [])
    yield place
    for store in place.opened:
        store.close()


# Those that ask for a place run here with the one above.
for _name, _test in vars(local).items():
    if _name.startswith("test_") and {"place", "store"} & set(
        _test.__code__.co_varnames[: _test.__code__.co_argcount]
    ):
        globals()[_name] = _test
