"""The smallest stores that another package could bring."""

from __future__ import annotations

import os
import pickle
from contextlib import contextmanager
from pathlib import Path

from gc3store.backend import corrupt, not_found
from gc3store.errors import UnpicklableError
from gc3store.ids import check_id, make_id, number_of, prefix_for
from gc3store.pickling.explain import find_culprit
from gc3store.store import Store
from gc3store.support.files import unavailable


class FourMethods(Store):
    """Pickles in a directory; just what the interface asks for."""

    def __init__(self, url):
        super().__init__(url)
        self.path = Path(url.partition("://")[2])

    def save(self, obj):
        data = self._pickled(obj)
        with self._translated("written"):
            self.path.mkdir(exist_ok=True)
            last = self.path / "last"
            number = int(last.read_text()) + 1 if last.exists() else 1
            self._put(last, str(number).encode())
            id_ = make_id(prefix_for(type(obj)), number)
            self._put(self.path / f"{id_}.pickle", data)
        return id_

    def load(self, id_):
        with self._translated("read"):
            data = self._file(id_).read_bytes()
        try:
            return pickle.loads(data)
        except (EOFError, pickle.UnpicklingError) as error:
            raise corrupt(id_, str(error)) from error

    def replace(self, id_, obj):
        file = self._file(id_)
        data = self._pickled(obj)
        with self._translated("written"):
            self._put(file, data)

    def remove(self, id_):
        file = self._file(id_)
        with self._translated("written"):
            file.unlink()

    def _file(self, id_):
        file = self.path / f"{check_id(id_)}.pickle"
        if not file.exists():
            raise not_found(id_)
        return file

    def _put(self, file, data):
        """Write a file as a whole, or leave it as it is."""
        draft = self.path / "draft"
        try:
            draft.write_bytes(data)
            os.replace(draft, file)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    @contextmanager
    def _translated(self, what):
        try:
            yield
        except OSError as error:
            raise unavailable(str(self.path), error, what) from error

    def _pickled(self, obj):
        try:
            return pickle.dumps(obj)
        except Exception as error:
            path, what = find_culprit(obj, error)
            raise UnpicklableError(f"{path} {what}; leave it out.", path=path) from error


class WithList(FourMethods):
    """The optional method of the original interface too."""

    def list(self):
        return sorted((file.stem for file in self.path.glob("*.pickle")), key=number_of)
