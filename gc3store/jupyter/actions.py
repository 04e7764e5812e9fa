"""What one can do to a store from a notebook, once for the magics and the browser.

Each function takes the store and, where variables are concerned, the notebook's
namespace; it does one thing, and returns an `Outcome`: a sentence, what was
affected, and the line of code that does the same. Nothing here knows of IPython
or widgets, and nothing evaluates text: a variable is named by an identifier
that is checked first.

The magics that an `Outcome` is written in, and that replay it:

- ``%store_load ID... [as VARIABLE] [--variables] [--force]``
- ``%store_save VARIABLE [--as NAME] [--tag TAG]...``
- ``%store_replace ID VARIABLE``
- ``%store_remove ID...``
- ``%store_tag ID [TAG...] [--drop TAG]... [--name NAME]``
"""

from __future__ import annotations

import inspect
import pickle
import shlex
import tempfile
import unicodedata
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, MutableMapping
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Literal

import cloudpickle

from gc3store.errors import NotSupportedError, ObjectNotFoundError, StoreError, UsageError
from gc3store.jupyter.catalogue import Catalogue
from gc3store.jupyter.lookup import entries, versions
from gc3store.jupyter.outcome import STORE, Failure, Outcome, Undo, VariableExistsError
from gc3store.jupyter.variables import check_variable, suggest
from gc3store.query import Query
from gc3store.record import Record, human_size
from gc3store.support.text import shorten

if TYPE_CHECKING:
    from gc3store.store import Store

__all__ = [
    "Failure",
    "Outcome",
    "Undo",
    "VariableExistsError",
    "describe",
    "label",
    "load",
    "load_all",
    "load_many",
    "one_line",
    "remove",
    "replace",
    "save",
]

Namespace = MutableMapping[str, Any]


# -- actions ----------------------------------------------------------------------------


def describe(store: Store, id_: str) -> Record:
    """Return what `store` knows of an object, be it only its ID."""
    return Catalogue(store).describe(id_)


def load(
    store: Store, namespace: Namespace, id_: str, *, variable: str | None = None, overwrite: bool = False
) -> Outcome:
    """Load an object into a variable.

    Parameters
    ----------
    variable : str, optional
        Its name; by default the one that `suggest` makes.
    overwrite : bool
        Whether a variable that holds something else may be overwritten.

    Raises
    ------
    VariableExistsError
        If it may not be; then the namespace is as before.
    """
    if variable is not None:
        variable = check_variable(variable)
    record = describe(store, id_)
    value = store.load(id_)
    if variable is None:
        variable = suggest(record, _Taken(namespace, value))
    _bind(namespace, {variable: value}, overwrite=overwrite)
    size = f" ({human_size(record.size)})" if record.size else ""
    return Outcome(
        message=f"{variable} = {type(value).__name__} {id_!r}{size}",
        magic=f"%store_load {shlex.quote(id_)} as {variable}{' --force' if overwrite else ''}",
        template=f"{variable} = {STORE}.load({id_!r})",
        ids=(id_,),
        variables=(variable,),
    )


def load_many(
    store: Store,
    namespace: Namespace,
    ids: Iterable[str],
    *,
    variable: str,
    into: Literal["dict", "variables"] = "dict",
    overwrite: bool = False,
) -> Outcome:
    """Load several objects into a dict by ID, or into ``variable_1``, ``variable_2``, ...

    What cannot be loaded is among the outcome's failures; the others still load.

    Raises
    ------
    VariableExistsError
        If a variable that holds something else is in the way; then none is set.
    """
    variable = check_variable(variable)
    loaded: dict[str, Any] = {}
    failures = []
    for id_ in dict.fromkeys(ids):
        try:
            loaded[id_] = store.load(id_)
        except Exception as error:  # noqa: BLE001  what a payload raises is the payload's affair
            failures.append(Failure(id_, one_line(error)))
    if not loaded and failures:
        first = failures[0]
        raise StoreError(f"None of {len(failures)} objects could be loaded; {first.id}: {first.reason}")
    if into == "dict":
        new = {variable: loaded}
        template = f"{variable} = {{id_: {STORE}.load(id_) for id_ in {_some_ids(loaded)}}}"
        message = f"{variable} = dict of {len(loaded):,} objects"
    else:
        new = {f"{variable}_{n}": value for n, value in enumerate(loaded.values(), 1)}
        template = f"{', '.join(new)}{',' * (len(new) == 1)} = {STORE}.load_many({_some_ids(loaded)})"
        message = f"{next(iter(new), variable)} … {next(reversed(new), variable)} = {len(loaded):,} objects"
    _bind(namespace, new, overwrite=overwrite)
    flag = "" if into == "dict" else " --variables"
    return Outcome(
        message=message + (f"; {len(failures):,} could not be loaded" if failures else ""),
        magic=f"%store_load {shlex.join(loaded)} as {variable}{flag}{' --force' if overwrite else ''}",
        template=template,
        ids=tuple(loaded),
        variables=tuple(new),
        failures=tuple(failures),
    )


def load_all(store: Store, namespace: Namespace, *, overwrite: bool = False) -> Iterator[Outcome | Failure]:
    """Load the newest object of every name into a variable of that name.

    Yields
    ------
    Outcome or Failure
        What became of each; a name that no variable can have, an object that does not
        load and a variable in the way are failures, and the rest is loaded.
    """
    seen: set[str] = set()
    for record in entries(store, Query(order=(("number", True),))):
        if record.name and record.name not in seen:
            seen.add(record.name)
            try:
                yield load(store, namespace, record.id, variable=record.name, overwrite=overwrite)
            except Exception as error:  # noqa: BLE001  what a payload raises is the payload's affair
                yield Failure(record.id, f"{record.name!r:.80} was not loaded: {one_line(error)}")


def save(
    store: Store,
    namespace: Mapping[str, Any],
    variable: str,
    *,
    name: str | None = None,
    tags: Iterable[str] = (),
    origin: Mapping[str, Any] | None = None,
    keep: int = 0,
) -> Outcome:
    """Save a variable as the newest version under a name, by default its own.

    A store that keeps no names gets the object alone, unless a name is asked for.

    Parameters
    ----------
    keep : int
        How many versions to keep under the name; older ones are removed. 0 keeps all.
    """
    value = _value(namespace, variable)
    method = getattr(store, "save_version", store.save)
    wanted: dict[str, Any] = {"name": name or variable, "tags": tuple(tags), "origin": origin}
    taken = _keywords(method)
    for key, given in (("name", name), ("tags", wanted["tags"])):
        if key not in taken and given:
            raise NotSupportedError(f"A {type(store).__name__} store keeps no {key}; save without.")
    options = {key: option for key, option in wanted.items() if key in taken and option}
    before = versions(store, wanted["name"], limit=1)
    id_ = method(value, **options)
    size = ""
    if store.offers("describe"):
        record = store.describe(id_)
        size = f" ({human_size(record.size)})"
        if before and (before[0].id, before[0].revision) == (id_, record.revision):
            size = ": unchanged, no new version"
    surplus = versions(store, wanted["name"])[keep:] if keep else []
    if older := [record.id for record in surplus if record.id != id_]:
        store.remove_many(older)
        size += f"; {len(older)} older version{'s' * (len(older) > 1)} removed"
    label_ = "" if name in (None, variable) else f" --as {shlex.quote(str(name))}"
    tags_ = "".join(f" --tag {shlex.quote(tag)}" for tag in wanted["tags"])
    arguments = "".join(f", {key}={options[key]!r}" for key in ("name", "tags") if key in options)
    return Outcome(
        message=f"{variable} saved as {id_!r}{size}",
        magic=f"%store_save {variable}{label_}{tags_}",
        template=f"{STORE}.{method.__name__}({variable}{arguments})",
        ids=(id_,),
    )


def replace(
    store: Store, namespace: Mapping[str, Any], id_: str, variable: str, *, expected: int | None = None
) -> Outcome:
    """Make the record hold a copy of a variable's value.

    Parameters
    ----------
    expected : int, optional
        The revision that is to be replaced; another one is a `ConflictError`.
    """
    value = _value(namespace, variable)
    if expected is not None and "expected" in _keywords(store.replace):
        store.replace(id_, value, expected=expected)  # type: ignore[call-arg]
    else:
        store.replace(id_, value)
    return Outcome(
        message=f"{id_!r} now holds a copy of {variable}",
        magic=f"%store_replace {shlex.quote(id_)} {variable}",
        template=f"{STORE}.replace({id_!r}, {variable})",
        ids=(id_,),
    )


def remove(store: Store, ids: Iterable[str], *, undo: bool = True) -> Outcome:
    """Remove objects, keeping what is needed to put them back.

    Parameters
    ----------
    undo : bool
        Whether to keep the records, in a temporary file that is deleted with the
        `Undo`. Needs a store that offers ``export`` and ``restore``; without, the
        outcome has no undo.

    Notes
    -----
    Works in batches, so any number of IDs takes bounded memory. What is missing
    already is among the failures, and stops nothing. If the store fails half-way,
    what was removed so far is put back and the error raised.
    """
    keep = undo and store.offers("export") and store.offers("restore")
    removed: list[str] = []
    failures: list[Failure] = []
    kept = _Kept() if keep else None
    try:
        for batch in _batches(ids, 500):
            present = []
            for id_ in batch:
                try:
                    if kept is not None:
                        kept.add(id_, store.export(id_))
                    present.append(id_)
                except ObjectNotFoundError as error:
                    failures.append(Failure(id_, one_line(error)))
            try:
                store.remove_many(present)
                removed += present
            except ObjectNotFoundError:
                for id_ in present:
                    try:
                        store.remove(id_)
                        removed.append(id_)
                    except ObjectNotFoundError as error:
                        failures.append(Failure(id_, one_line(error)))
    except BaseException:
        if kept is not None:
            kept.restore(store, removed)
            kept.close()
        raise
    if not removed and failures:
        if kept is not None:
            kept.close()
        raise ObjectNotFoundError(failures[0].reason, id=failures[0].id)
    what = repr(removed[0]) if len(removed) == 1 else f"{len(removed):,} objects"
    some = shlex.join(removed) if len(removed) <= 100 else f"{shlex.join(removed[:100])} ..."
    template = f"{STORE}.remove({removed[0]!r})" if len(removed) == 1 else ""
    return Outcome(
        message=f"Removed {what}" + (f"; {len(failures):,} were gone already" if failures else ""),
        magic=f"%store_remove {some}",
        template=template or f"{STORE}.remove_many({_some_ids(removed)})",
        ids=tuple(removed),
        failures=tuple(failures),
        undo=None if kept is None else Undo(lambda: kept.restore(store, removed), kept.close),
    )


def label(
    store: Store,
    id_: str,
    *,
    name: str | Literal[False] | None = False,
    add: Iterable[str] = (),
    drop: Iterable[str] = (),
) -> Outcome:
    """Rename an object, give it tags or take some away; its content is left alone.

    Parameters
    ----------
    name : str or None, optional
        The new name, `None` for no name; left out, the name stays.
    add, drop : iterable of str
        Tags to add, and tags to take away.
    """
    before = store.describe(id_)
    changes: dict[str, Any] = {}
    magic = f"%store_tag {shlex.quote(id_)}"
    add, drop = [_clean("tag", tag) for tag in add], list(drop)
    if add or drop:
        kept = [tag for tag in before.tags if tag not in drop]
        changes["tags"] = (*kept, *(tag for tag in dict.fromkeys(add) if tag not in kept))
        magic += "".join(f" {shlex.quote(tag)}" for tag in add)
        magic += "".join(f" --drop {shlex.quote(tag)}" for tag in drop)
    if name is not False:
        changes["name"] = _clean("name", name) if name else None
        magic += f" --name {shlex.quote(name or '')}"
    if not changes:
        raise UsageError("Nothing to change: give a name or a tag.")
    store.update(id_, **changes)
    old = {key: getattr(before, key) for key in changes}

    def back() -> tuple[str, ...]:
        store.update(id_, **old)
        return (id_,)

    arguments = ", ".join(f"{key}={value!r}" for key, value in changes.items())
    said = []
    if "name" in changes:
        said.append(f"is now called {changes['name']!r}" if changes["name"] else "has no name now")
    if "tags" in changes:
        said.append(f"has tags {', '.join(changes['tags'])}" if changes["tags"] else "has no tags now")
    return Outcome(
        message=f"{id_!r} {' and '.join(said)}",
        magic=magic,
        template=f"{STORE}.update({id_!r}, {arguments})",
        ids=(id_,),
        undo=Undo(back),
    )


def one_line(error: BaseException, limit: int = 300) -> str:
    r"""Return what went wrong in one line.

    >>> one_line(ValueError("first line\nsecond line"))
    'ValueError: first line'
    """
    text = str(error).strip() or "no reason was given"
    line = text.splitlines()[0]
    if not isinstance(error, StoreError):
        line = f"{type(error).__name__}: {line}"
    return shorten(line, limit)


# -- helpers ----------------------------------------------------------------------------


def _bind(namespace: Namespace, new: Mapping[str, Any], *, overwrite: bool) -> None:
    if not overwrite:
        for variable, value in new.items():
            if variable in namespace and not _same(namespace[variable], value):
                kind = type(namespace[variable]).__qualname__
                raise VariableExistsError(
                    f"{variable} exists and holds another value ({kind}); choose another name or overwrite.",
                    variable=variable,
                    type=kind,
                )
    namespace.update(new)


class _Taken(Container[str]):
    """The names of the variables that hold something else than `value`."""

    def __init__(self, namespace: Mapping[str, Any], value: Any) -> None:
        self._namespace = namespace
        self._value = value

    def __contains__(self, name: object) -> bool:
        return (
            isinstance(name, str)
            and name in self._namespace
            and not _same(self._namespace[name], self._value)
        )


def _same(old: Any, new: Any) -> bool:
    # Not by ==, which arrays answer with an array and other classes as they like: what
    # would be stored alike is the same. So a cell that loads can be run again.
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    try:
        return _content(old) == _content(new)
    except Exception:  # noqa: BLE001  what does not pickle is the same as nothing else
        return False


def _content(value: Any) -> list[Any]:
    buffers: list[pickle.PickleBuffer] = []
    stream = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return [stream, *(buffer.raw() for buffer in buffers)]


def _value(namespace: Mapping[str, Any], variable: object) -> Any:
    if not isinstance(variable, str) or not variable.isidentifier() or variable not in namespace:
        raise UsageError(f"There is no variable {str(variable)[:60]!r} in this notebook.")
    return namespace[variable]


def _keywords(method: Callable[..., Any]) -> Collection[str]:
    parameters = inspect.signature(method).parameters.values()
    return {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}


def _clean(what: str, text: str) -> str:
    text = text.strip()
    if not text or len(text) > 1000 or any(unicodedata.category(character) == "Cc" for character in text):
        raise UsageError(f"A {what} is one line of text, of at most 1,000 characters.")
    return text


def _some_ids(ids: Iterable[str]) -> str:
    ids = list(ids)
    return repr(ids) if len(ids) <= 100 else f"[{', '.join(map(repr, ids[:100]))}, ...]"


def _batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(ids)
    while batch := list(islice(iterator, size)):
        yield batch


class _Kept:
    """Exported records in a temporary file that goes with the object."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="gc3store-undo-")  # noqa: SIM115
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, id_: str, data: bytes) -> None:
        start = self._file.seek(0, 2)
        self._file.write(data)
        self._places[id_] = (start, len(data))

    def restore(self, store: Store, removed: Iterable[str]) -> tuple[str, ...]:
        """Put back the records of the IDs `removed`, and return these IDs."""
        removed = tuple(removed)
        for id_ in removed:
            if id_ in self._places:  # else it was put back in an earlier attempt
                start, size = self._places[id_]
                self._file.seek(start)
                store.restore(self._file.read(size))
                del self._places[id_]
        return removed

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        self.close()  # an outcome that is dropped takes with it what could undo it
