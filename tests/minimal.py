"""The smallest stores that another package could bring."""

from __future__ import annotations

import pickle
from pathlib import Path

from gc3store.diagnosis import find_culprit
from gc3store.errors import ObjectNotFoundError, UnpicklableError
from gc3store.ids import check_id, make_id, number_of, prefix_for
from gc3store.store import Store


class FourMethods(Store):
    """Pickles in a directory; just what the interface asks for."""

    def __init__(self, url):
        super().__init__(url)
        self.path = Path(url.partition("://")[2])

    def save(self, obj):
        data = self._pickled(obj)
        self.path.mkdir(exist_ok=True)
        last = self.path / "last"
        number = int(last.read_text()) + 1 if last.exists() else 1
        last.write_text(str(number))
        id_ = make_id(prefix_for(type(obj)), number)
        (self.path / f"{id_}.pickle").write_bytes(data)
        return id_

    def load(self, id_):
        return pickle.loads(self._file(id_).read_bytes())

    def replace(self, id_, obj):
        file = self._file(id_)
        file.write_bytes(self._pickled(obj))

    def remove(self, id_):
        self._file(id_).unlink()

    def _file(self, id_):
        file = self.path / f"{check_id(id_)}.pickle"
        if not file.exists():
            raise ObjectNotFoundError(f"There is no {id_}.", id=id_)
        return file

    def _pickled(self, obj):
        try:
            return pickle.dumps(obj)
        except Exception as error:
            path, what = find_culprit(obj, error)
            raise UnpicklableError(f"{path} {what}.", path=path) from error


class WithList(FourMethods):
    """The optional method of the original interface too."""

    def list(self):
        return sorted((file.stem for file in self.path.glob("*.pickle")), key=number_of)
