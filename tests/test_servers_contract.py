"""The contract, kept by stores on database servers; nothing is left out."""

from __future__ import annotations

from functools import partial

import pytest

from gc3store import make_store
from gc3store.testing import StoreContract
from tests.servers import new_place

pytestmark = pytest.mark.server


class TestPostgreSQLStore(StoreContract):
    @pytest.fixture
    def open_store(self):
        return partial(make_store, new_place("postgresql"))


class TestMariaDBStore(StoreContract):
    @pytest.fixture
    def open_store(self):
        return partial(make_store, new_place("mariadb"))
