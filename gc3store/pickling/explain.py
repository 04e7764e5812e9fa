"""Finding out why an object could not be saved, or loaded again."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from gc3store.errors import LoadError, MissingClassError, UnpicklableError
from gc3store.inspection.globals import globals_of
from gc3store.pickling.decoder import Source
from gc3store.pickling.encoder import encode
from gc3store.pickling.placeholders import MissingReference, PlaceholderError, missing_name
from gc3store.pickling.reducers import is_persistable
from gc3store.record import Record
from gc3store.support.renaming import renamed

__all__ = ["explain_missing", "explain_unpicklable", "find_culprit"]

#: How many parts of an object are tried before the search is given up.
_PATIENCE = 20_000


def explain_unpicklable(chain: Sequence[Any], error: BaseException) -> UnpicklableError:
    """Return the error for an object that cannot be saved, with the path of the part that is the reason.

    Parameters
    ----------
    chain : sequence
        The object that was to be saved, the Persistable in it that could not be, and those
        on the way there, each of which refers to the next.
    error : BaseException
        What was raised.
    """
    root, obj = "obj", chain[-1]
    for referrer, referred in pairwise(chain):
        root = _path_to(referrer, referred, root)
    sentence = f"Cannot save this {type(chain[0]).__name__}:"
    if isinstance(error, PlaceholderError):

        def is_culprit(part: Any) -> bool:  # a record of its own is saved by itself
            return bool(missing_name(part)) and (part is obj or not is_persistable(type(part)))

        path, culprit = _find(obj, is_culprit, root) or (root, None)
        missing = missing_name(culprit) or error.missing
        kind = "is a placeholder" if missing_name(culprit) else "was loaded with a placeholder"
        return UnpicklableError(
            f"{sentence} {path} {kind} for {missing}, which is missing here; objects with placeholders are saved "
            f"only as they were loaded. If it has a new name, gc3store.rename finds it; export() copies the record.",
            path=path,
            missing=missing,
        )
    path, what = find_culprit(obj, error, root)
    return UnpicklableError(
        f"{sentence} {path} {what}; leave it out, for instance in __getstate__.", path=path
    )


def find_culprit(obj: Any, error: BaseException, root: str = "obj") -> tuple[str, str]:
    """Return which part of `obj` cannot be serialized, and what it is.

    Parameters
    ----------
    obj : Any
        What could not be serialized.
    error : BaseException
        What was raised.
    root : str
        What to call the object itself.

    Returns
    -------
    path : str
        As one would write it in Python.
    what : str
        The rest of a sentence about it.

    Examples
    --------
    >>> find_culprit({"raw": [1, (x for x in "abc")]}, TypeError())
    ("obj['raw'][1]", 'is a generator, which cannot be pickled')
    """
    path, culprit, reason = root, obj, error
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return root, (
            "is nested too deeply for pickle; derive the class of its links "
            "from gc3store.Persistable, which are stored one by one"
        )
    seen = {id(obj)}
    tried = 0
    while True:
        for step, part in _parts(culprit):
            tried += 1
            if tried > _PATIENCE:
                break
            if id(part) in seen or is_persistable(type(part)):
                continue
            failure = _failure(part)
            if failure is not None:
                seen.add(id(part))
                path, culprit, reason = path + step, part, failure
                break
        else:
            break
        if tried > _PATIENCE:
            break
    if isinstance(culprit, MissingReference):
        return path, f"refers to {culprit.id}, which is no longer in the store"
    name = type(culprit).__name__
    article = "an" if name[0].lower() in "aeio" else "a"
    if isinstance(reason, TypeError) and "pickle" in str(reason):
        return path, f"is {article} {name}, which cannot be pickled"
    return path, f"is {article} {name}, which cannot be pickled ({type(reason).__name__}: {reason})"


def _path_to(obj: Any, target: Any, root: str) -> str:
    """Return where in `obj` the Persistable `target` is, beginning with `root`.

    >>> _path_to({"jobs": [1, (target := object(),)]}, target, "obj")
    "obj['jobs'][1][0]"
    """
    found = _find(obj, lambda part: part is target, root)
    return found[0] if found is not None else f"{root}...<{type(target).__name__}>"


def _find(obj: Any, is_wanted: Callable[[Any], Any], root: str) -> tuple[str, Any] | None:
    """Return the nearest part of an object that is wanted, with its path; `None` if none is found.

    Other Persistables are parts, but what is in them is not.
    """
    if is_wanted(obj):
        return root, obj
    queue = [(root, obj)]
    seen = {id(obj)}
    for path, part in queue:  # grows while it is walked
        for step, inner in _parts(part):
            if is_wanted(inner):
                return path + step, inner
            if id(inner) not in seen and len(seen) < _PATIENCE and not isinstance(inner, _ATOMS):
                seen.add(id(inner))
                if not is_persistable(type(inner)):
                    queue.append((path + step, inner))
    return None


_ATOMS = (str, bytes, int, float, complex, bool, type(None), type)


def _failure(obj: Any) -> BaseException | None:
    try:
        encode(obj)
    except Exception as error:  # noqa: BLE001  (whatever a class raises when it is pickled)
        return error
    return None


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object is pickled from, each with how to get there from it."""
    if isinstance(obj, dict):
        for key, value in list(obj.items()):
            yield f"[{key!r:.60}]", value
            yield f".keys()[{key!r:.60}]", key
    elif isinstance(obj, (list, tuple)):
        yield from ((f"[{i}]", part) for i, part in enumerate(obj))
    elif isinstance(obj, (set, frozenset)):
        yield from ((f"{{{i}}}", part) for i, part in enumerate(obj))
    cells = getattr(obj, "__closure__", None)
    if cells:
        for name, cell in zip(obj.__code__.co_freevars, cells, strict=True):
            yield f".__closure__[{name!r}]", cell.cell_contents
    try:
        reducer = copyreg.dispatch_table.get(type(obj))
        reduced = reducer(obj) if reducer is not None else obj.__reduce_ex__(5)
    except Exception:  # noqa: BLE001  (this very object is the culprit)
        return
    if not isinstance(reduced, tuple):
        return
    state = reduced[2] if len(reduced) > 2 else None
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        yield from ((f".{name}", part) for name, part in state[1].items())
        state = state[0]
    if isinstance(state, dict):
        yield from ((f".{name}", part) for name, part in state.items())
    elif state is not None:
        yield ".__getstate__()", state
    for part in reduced[1]:
        if not isinstance(part, type):
            yield ".__reduce__()", part


def explain_missing(record: Record | None, id_: str, source: Source, error: BaseException) -> LoadError:
    """Return the error for a payload whose classes could not all be found."""
    module = getattr(error, "name", None) if isinstance(error, ImportError) else None
    wanted = getattr(error, "name", None) if isinstance(error, AttributeError) else None
    missing = module or str(error)
    try:
        stream = source.stream.read() if hasattr(source.stream, "read") else source.stream
        names = globals_of(stream, source.buffers)
    except LoadError:
        names = []
    sought = [renamed(found.module, found.name) for found in names if found.found is False]
    culprits = [
        (place, name)
        for place, name in sought
        if name == wanted or place == module or place.startswith(f"{module}.")
    ]
    origin = record.origin if record is not None else {}
    if culprits:
        place, name = culprits[0]
        missing = f"{place}.{name}"
        where = "module cannot be imported" if module else "module has no such name"
        sentence = f"{id_} needs {name} from the module {place!r}, and that {where} here"
    elif isinstance(error, ModuleNotFoundError):
        sentence = f"{id_} needs the module {missing!r}, which cannot be imported here"
    else:
        sentence = f"{id_} could not be loaded: {error}"
    return MissingClassError(
        f"{sentence}{_versions(origin, missing)}; inspect({id_!r}) shows what is in it without its classes.",
        id=id_,
        missing=missing,
    )


def _versions(origin: Mapping[str, Any], missing: str) -> str:
    """Return with which versions an object was saved, as far as that is known."""
    python, packages = origin.get("python"), origin.get("packages")
    if not python:
        return ""
    top = missing.partition(".")[0]
    version = packages.get(top) if isinstance(packages, Mapping) else None
    return f" (it was saved with Python {python}" + (f" and {top} {version})" if version else ")")
