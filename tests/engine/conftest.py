"""Places on servers, beside those of `tests.conftest`."""

from __future__ import annotations

import pytest

from gc3store import register
from tests import memory_place
from tests.conftest import Place, place_in
from tests.memory_backend import MemoryStore
from tests.servers import new_place

_DATABASES = (
    "memory",
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.server),
    pytest.param("mariadb", marks=pytest.mark.server),
)


@pytest.fixture
def memory_url():
    register("memory", MemoryStore)
    place = memory_place.Place()
    yield place.url
    place.close()


def _place(request, tmp_path):
    if request.param in ("directory", "sqlite"):
        place = place_in(tmp_path, request.param)
    elif request.param == "memory":
        place = Place("memory", request.getfixturevalue("memory_url"), tmp_path, [])
    else:
        place = Place(request.param, new_place(request.param), tmp_path, [])
    yield place
    for store in place.opened:
        store.close()


@pytest.fixture(params=["directory", *_DATABASES])
def any_place(request, tmp_path):
    """As `place`, on servers as well."""
    yield from _place(request, tmp_path)


@pytest.fixture(params=_DATABASES)
def database_place(request, tmp_path):
    """As `any_place`, where several records can be written in one transaction."""
    yield from _place(request, tmp_path)


@pytest.fixture
def any_store(any_place):
    return any_place.open()


@pytest.fixture
def database_store(database_place):
    return database_place.open()


@pytest.fixture
def directory(tmp_path):
    """A place whose files are brought to their places one by one."""
    place = place_in(tmp_path, "directory")
    yield place
    for store in place.opened:
        store.close()
