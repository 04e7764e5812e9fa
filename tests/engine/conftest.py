"""Places on servers, beside those of `tests.conftest`."""

from __future__ import annotations

from itertools import count

import pytest

from tests.conftest import Place, place_in
from tests.servers import database

_tables = count()


@pytest.fixture(scope="session")
def postgresql_url():
    with database("postgresql") as url:
        yield url


@pytest.fixture(scope="session")
def mariadb_url():
    with database("mariadb") as url:
        yield url


@pytest.fixture(
    params=[
        "directory",
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.server),
        pytest.param("mariadb", marks=pytest.mark.server),
    ]
)
def any_place(request, tmp_path):
    """As `place`, on servers as well."""
    if request.param in ("directory", "sqlite"):
        place = place_in(tmp_path, request.param)
    else:
        url = request.getfixturevalue(f"{request.param}_url")
        place = Place(request.param, f"{url}#table=t{next(_tables)}", tmp_path, [])
    yield place
    for store in place.opened:
        store.close()


@pytest.fixture
def any_store(any_place):
    return any_place.open()


@pytest.fixture
def directory(tmp_path):
    """A place whose files are brought to their places one by one."""
    place = place_in(tmp_path, "directory")
    yield place
    for store in place.opened:
        store.close()
