"""The contract, kept by a store in an SQLite database."""

from __future__ import annotations

from functools import partial

import pytest

from gc3store import make_store
from gc3store.testing import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return partial(make_store, f"sqlite:///{tmp_path}/objects.db")


class TestSecondStoreInOneDatabase(StoreContract):
    """Stores under two table names share a database and know nothing of each other."""

    @pytest.fixture
    def open_store(self, tmp_path):
        url = f"sqlite:///{tmp_path}/objects.db"
        with make_store(url) as first:
            first.save("not theirs", prefix="first")
        return partial(make_store, url, table_name="second")
