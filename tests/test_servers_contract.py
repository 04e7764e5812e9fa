"""The contract, kept by stores on database servers; nothing is left out."""

from __future__ import annotations

from functools import partial

import pytest

from gc3store import make_store
from gc3store.testing import StoreContract
from tests.servers import database

pytestmark = pytest.mark.server


@pytest.fixture(scope="class")
def postgresql():
    with database("postgresql") as url:
        yield url


@pytest.fixture(scope="class")
def mariadb():
    with database("mariadb") as url:
        yield url


_count = iter(range(10**9))


class TestPostgreSQLStore(StoreContract):
    @pytest.fixture
    def open_store(self, postgresql):
        return partial(make_store, postgresql, table_name=f"t{next(_count)}")


class TestMariaDBStore(StoreContract):
    @pytest.fixture
    def open_store(self, mariadb):
        return partial(make_store, f"{mariadb}#table=t{next(_count)}")
