"""The contract, kept by a store in a directory."""

from __future__ import annotations

from functools import partial

import pytest

from gc3store import make_store
from gc3store.testing import StoreContract


class TestFilesystemStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return partial(make_store, f"file://{tmp_path}/objects")


class TestFilesystemStoreNotDurable(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return partial(make_store, tmp_path / "objects", durable=False)
