"""The magics: a store's methods as one-liners for a notebook.

Each magic reads its line, finds the objects that are meant, calls the action
that the browser calls too, and shows what became of it. State that outlives a line is
kept here: the current store, and what can be undone.
"""

from __future__ import annotations

import contextlib
import warnings
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class
from traitlets import Bool, Enum, Int, Unicode, observe

from gc3store.errors import StoreWarning
from gc3store.jupyter import actions
from gc3store.jupyter.catalogue import Catalogue
from gc3store.jupyter.current import CurrentStore
from gc3store.jupyter.lookup import entries, resolve
from gc3store.jupyter.magics.arguments import (
    command,
    one_line_errors,
    option,
    result_is_used,
    split_variable,
)
from gc3store.jupyter.magics.cells import run_and_return
from gc3store.jupyter.magics.history import forget_input
from gc3store.jupyter.magics.portability import Portability
from gc3store.jupyter.origin import cell_origin
from gc3store.jupyter.variables import variables
from gc3store.query import Query
from gc3store.record import human_size
from gc3store.store import Store
from gc3store.support.redaction import redact

if TYPE_CHECKING:
    from gc3store.jupyter.outcome import Outcome, Undo

__all__ = ["StoreMagics"]

#: How many actions can be undone, and how much may be kept for one of them, in bytes.
UNDO_STEPS = 20
UNDO_SIZE = 2 * 10**9


@magics_class
class StoreMagics(Magics):
    """Magics that save, find, load, replace and remove objects."""

    url = Unicode("", help="The store to use when none was opened, as a URL or a path.").tag(config=True)
    limit = Int(50, min=1, help="How many objects %store_list shows.").tag(config=True)
    keep_versions = Int(
        0, min=0, help="How many versions to keep under a name; older ones are removed. 0 keeps all."
    ).tag(config=True)
    origin = Bool(True, help="Whether to record which notebook and cell saved an object.").tag(config=True)
    source: Any = Enum(
        ("embedded", "always", "never"),
        "embedded",
        help="When to record the cell's source, too: in embedded stores (SQLite, directory), always, never.",
    ).tag(config=True)

    shell: Any

    def __init__(self, shell: Any) -> None:
        self.current = CurrentStore(lambda: self.url, self.say)
        self.undos: deque[Undo] = deque()
        self.portability = Portability()
        super().__init__(shell)  # last: it sets what is configured, which calls _url_changed

    @observe("url")
    def _url_changed(self, _: Any) -> None:
        self.current.forget_default()

    # -- which store --------------------------------------------------------------------

    @command(
        option("url", nargs="?", completes="urls", help="URL, path, or a variable that holds a store."),
        option("--read-only", action="store_true", help="Refuse all that would change the store."),
    )
    def store_open(self, args: Namespace) -> Store | None:
        """Choose the store that the other magics work on.

        Without an argument, show which one it is. With no store opened, the magics use
        the one in the environment variable GC3STORE_URL, or in the configuration
        StoreMagics.url, or else the file gc3store.db in the working directory.

        Examples::

            %store_open jobs.db                     # an SQLite file there is
            %store_open sqlite:///jobs.db           # an SQLite file, there or not
            %store_open ~/results                   # a directory
            %store_open postgresql://me@host/jobs   # PostgreSQL, MariaDB
            store = %store_open sqlite:///jobs.db   # the store as a Python object
        """
        used = result_is_used()
        if args.url is None:
            store = self.current.get()
        elif isinstance(self.shell.user_ns.get(args.url), Store):
            store = self.shell.user_ns[args.url]
            self.current.use(store)
        else:
            try:
                options = {"read_only": True} if args.read_only else {}
                store = self.current.open(args.url, **options)
            finally:
                if self.current.secrets:
                    forget_input(self.shell, *self.current.secrets)
        if used:
            self.current.release_ownership()
            return store
        objects = f", {Catalogue(store).count():,} objects" if Catalogue(store).lists else ""
        self.say(f"Using {store.url or repr(store)}{objects}")
        return None

    # -- in and out ---------------------------------------------------------------------

    @command(
        option(
            "names",
            nargs="*",
            metavar="NAME",
            completes="variables",
            help="Variables; for a cell, the name to save under.",
        ),
        option(
            "--as",
            dest="label",
            metavar="LABEL",
            completes="names",
            help="Save under this name instead of the variable's own.",
        ),
        option(
            "-t",
            "--tag",
            action="append",
            default=[],
            metavar="TAG",
            completes="tags",
            help="Add a tag; may be repeated.",
        ),
        option("--all", action="store_true", help="Save all variables that can be saved."),
        cell=True,
    )
    def store_save(self, args: Namespace, cell: str | None = None) -> Any:
        """Save variables under their names, or what a cell returns.

        Saving again under a name makes a new version, unless nothing has changed. An
        object that is a record of its own (a Persistable) keeps its record, which is
        brought up to date.

        Examples::

            %store_save sweep                       # under the name sweep
            %store_save fit residuals --tag paper   # two variables, both tagged
            %store_save x --as "cold start"         # under another name
            %store_save --all                       # all that can be saved
            id_ = %store_save sweep                 # and the ID is known

            %%store_save table                      # what the cell returns, as table
            pd.read_csv("data.csv").describe()
        """
        if cell is None:
            return self._save_variables(args)
        name = self._name_for_cell(args)
        value = run_and_return(self.shell, cell)  # whose errors are the user's, and keep their tracebacks
        self._save_value(args, name, value)
        return value

    @one_line_errors
    def _save_variables(self, args: Namespace) -> Any:
        used = result_is_used()
        namespace = self.shell.user_ns
        if args.all == bool(args.names):
            raise UsageError("Which variables? %store_save NAME... saves some, %store_save --all all.")
        if args.label and (args.all or len(args.names) > 1):
            raise UsageError("--as gives one name to one variable; save the others by themselves.")
        names = args.names
        if args.all:
            found = (v.name for v in variables(namespace, self.hidden()))
            names = [name for name in found if not isinstance(namespace[name], Store)]
        for name in names:
            if name not in namespace:
                actions.save(self.current.get(), namespace, name)  # says what is wrong with it
        ids: list[str] = []
        failures = []
        for name in names:
            try:
                ids += self._save(namespace, name, args).ids
            except Exception as error:  # reported, each with its variable
                if len(names) == 1 and not args.all:
                    raise
                failures.append(f"{name} was not saved: {actions.one_line(error)}")
        if args.all:
            self.say(*failures, _total(len(ids), "saved", failures))
        elif failures:
            raise UsageError("; ".join(failures))
        if used:
            return ids[0] if len(args.names) == 1 else ids
        return None

    @one_line_errors
    def _name_for_cell(self, args: Namespace) -> str:
        if args.all or len(args.names) + bool(args.label) != 1:
            raise UsageError("%%store_save needs one name, under which to save what the cell returns.")
        return str(args.label or args.names[0])

    @one_line_errors
    def _save_value(self, args: Namespace, name: str, value: Any) -> None:
        args.label = name
        self._save({name: value}, name, args)

    def _save(self, namespace: dict[str, Any], name: str, args: Any) -> Outcome:
        store = self.current.get()
        with self.notes():
            outcome = actions.save(
                store, namespace, name, name=args.label, tags=args.tag, keep=self.keep_versions
            )
        self.say(outcome.message)
        for module in self.portability.missing(namespace[name]):
            self.say(
                f"Note: a fresh kernel will not find the module {module} that this needs; "
                "it must be on sys.path there too."
            )
        return outcome

    @command(
        option(
            "what",
            nargs="*",
            metavar="ID",
            completes="objects_as_variable",
            help="IDs, numbers or names, and perhaps: as VAR",
        ),
        option("--all", action="store_true", help="Load the newest object of every name."),
        option("-f", "--force", action="store_true", help="Overwrite a variable that holds something else."),
        option("--variables", action="store_true", help="Load several objects into VAR_1, VAR_2, ..."),
    )
    def store_load(self, args: Namespace) -> Any:
        """Load objects into variables.

        An object is named by its ID, by the number in it, by the name it was saved
        under (the newest of that name), or by name@2 (the second version), name@-2
        (the last but one). A variable that holds another value is left alone.

        Examples::

            %store_load sweep                       # into a variable of that name
            %store_load IsingRun.26 as run          # into run
            x = %store_load 26                      # as an expression
            %store_load sweep@1 as first            # an older version
            %store_load 26 27 28 as runs            # a dictionary by ID
            %store_load --all                       # all that has a name
        """
        used = result_is_used()
        words, variable = split_variable(args.what)
        store, namespace = self.current.get(), self.shell.user_ns
        if args.all == bool(words):
            raise UsageError(
                "Load what? %store_load ID loads an object, %store_load --all all that have names."
            )
        with self.notes():
            if args.all:
                return self._load_all(store, overwrite=args.force)
            ids = [resolve(store, word) for word in words]
            if used and variable is None:
                return store.load(ids[0]) if len(ids) == 1 else list(store.load_many(ids))
            try:
                if variable and len(ids) > 1:
                    into: Literal["variables", "dict"] = "variables" if args.variables else "dict"
                    outcome = actions.load_many(
                        store, namespace, ids, variable=variable, into=into, overwrite=args.force
                    )
                    self._show(outcome)
                else:
                    for id_ in ids:
                        outcome = actions.load(store, namespace, id_, variable=variable, overwrite=args.force)
                        self._show(outcome)
            except actions.VariableExistsError as error:
                raise UsageError(
                    f"{error.variable} exists and holds another value ({error.type}); "
                    "choose another name, or add --force."
                ) from error
        if used:
            loaded = [namespace[name] for name in outcome.variables]
            return loaded[0] if len(loaded) == 1 else loaded
        return None

    def _load_all(self, store: Store, *, overwrite: bool) -> None:
        done = list(actions.load_all(store, self.shell.user_ns, overwrite=overwrite))
        failures = [f.reason for f in done if isinstance(f, actions.Failure)]
        for outcome in done:
            if not isinstance(outcome, actions.Failure):
                self.say(outcome.message)
        self.say(*failures, _total(len(done) - len(failures), "loaded", failures))

    @command(
        option("id", metavar="ID", completes="objects", help="ID, number or name of the object to replace."),
        option("name", metavar="NAME", completes="variables", help="The variable whose value to put there."),
    )
    def store_replace(self, args: Namespace) -> None:
        """Replace a stored object with a copy of a variable's value.

        Examples::

            %store_replace IsingRun.26 run
            %store_replace sweep sweep              # the newest version of that name
        """
        store = self.current.get()
        with self.notes():
            self._show(actions.replace(store, self.shell.user_ns, resolve(store, args.id), args.name))

    @command(
        option(
            "ids",
            nargs="*",
            metavar="ID",
            completes="objects",
            help="IDs, numbers or names of the objects to remove.",
        ),
        option("--all", action="store_true", help="Remove everything."),
        option("--no-undo", action="store_true", help="Keep nothing for %%store_undo."),
    )
    def store_remove(self, args: Namespace) -> None:
        """Remove objects; %store_undo puts them back.

        A name means the newest object saved under it; older versions stay.

        Examples::

            %store_remove IsingRun.26 27 28
            %store_remove sweep@1
            %store_remove --all                     # can be undone as well
        """
        store = self.current.get()
        if args.all == bool(args.ids):
            raise UsageError(
                "Remove what? %store_remove ID... removes some objects, %store_remove --all all."
            )
        found: Any
        if args.all:
            found = [record.id for record in entries(store, Query())]
            if not found:
                print("There is nothing to remove.")
                return
        else:
            found = list(dict.fromkeys(resolve(store, word) for word in args.ids))
        undo = not args.no_undo
        if undo:
            self._check_undo(store, found, everything=args.all)
        with self.notes():
            outcome = actions.remove(store, found, undo=undo)
        them = "it" if len(outcome.ids) == 1 else "them"
        self._show(outcome, f"%store_undo puts {them} back" if outcome.undo else "this cannot be undone")

    def _check_undo(self, store: Store, ids: list[str], *, everything: bool) -> None:
        """Refuse what could not be taken back by accident: too much, or everything for good."""
        if not (store.offers("export") and store.offers("restore")):
            if everything:
                kind = type(store).__name__
                raise UsageError(f"A {kind} store cannot put objects back; add --no-undo to remove them all.")
            return
        if everything:
            size = sum(record.size for record in store.records())
        else:
            size = sum(actions.describe(store, id_).size for id_ in ids)
        if size > UNDO_SIZE:
            raise UsageError(
                f"{human_size(size)} are too much to keep for %store_undo; add --no-undo to do without."
            )

    @command()
    def store_undo(self, _args: Namespace) -> None:
        """Take back the last removal, or change of names and tags, made by a magic.

        Examples::

            %store_undo
        """
        if not self.undos:
            raise UsageError("There is nothing to undo.")
        ids = self.undos[-1]()
        self.undos.pop()
        print(f"{ids[0]!r} is" if len(ids) == 1 else f"{len(ids):,} objects are", "as before")

    @command(
        option("id", metavar="ID", completes="objects", help="ID, number or name of the object."),
        option("tags", nargs="*", metavar="TAG", completes="tags", help="Tags to add."),
        option(
            "--drop",
            action="append",
            default=[],
            metavar="TAG",
            completes="tags",
            help="Take a tag away; may be repeated.",
        ),
        option(
            "--name",
            default=False,
            metavar="LABEL",
            completes="names",
            help="Rename the object; an empty LABEL takes the name away.",
        ),
    )
    def store_tag(self, args: Namespace) -> None:
        """Tag an object, or rename it; its content is left alone.

        Examples::

            %store_tag sweep paper final
            %store_tag sweep --drop draft
            %store_tag IsingRun.26 --name "cold start"
        """
        store = self.current.get()
        outcome = actions.label(store, resolve(store, args.id), name=args.name, add=args.tags, drop=args.drop)
        self._show(outcome)

    # -- helpers ------------------------------------------------------------------------

    def hidden(self) -> set[str]:
        """Return the names in the namespace that IPython put there, and the user left as they were."""
        hidden = self.shell.user_ns_hidden
        missing = object()
        return {name for name, value in self.shell.user_ns.items() if hidden.get(name, missing) is value}

    def say(self, *lines: str) -> None:
        """Print lines, without passwords in them."""
        for line in lines:
            print(redact(line, *self.current.secrets))

    def _show(self, outcome: Outcome, hint: str = "") -> None:
        self.say(outcome.message + (f"; {hint}" if hint else ""))
        self.say(*(f"  {failure.id}: {failure.reason}" for failure in outcome.failures))
        if outcome.undo is not None:
            self.undos.append(outcome.undo)
            while len(self.undos) > UNDO_STEPS:
                self.undos.popleft().forget()

    @contextlib.contextmanager
    def notes(self) -> Iterator[None]:
        """Show the library's warnings as one line each; leave all others as they are."""
        with warnings.catch_warnings(record=True) as caught:
            yield
        for warning in caught:
            if issubclass(warning.category, StoreWarning):
                self.say(f"Note: {warning.message}")
            else:
                warnings.showwarning(
                    warning.message,
                    warning.category,
                    warning.filename,
                    warning.lineno,
                    warning.file,
                    warning.line,
                )

    def place(self, store: Store) -> Mapping[str, Any]:
        """Return what is to be recorded of the notebook with an object saved right now."""
        if not self.origin:
            return {}
        return cell_origin(self.shell, store, rule=self.source, secrets=self.current.secrets)

    def close(self) -> None:
        """Give back what the magics hold."""
        while self.undos:
            self.undos.pop().forget()
        self.current.close()


def _total(done: int, what: str, failures: list[str]) -> str:
    return f"{done:,} object{'s' * (done != 1)} {what}" + (f", {len(failures):,} not" if failures else "")
