"""What a magic declares of itself, the words and options of its line, and whether its result is used."""

from __future__ import annotations

import argparse
import difflib
import dis
import functools
import re
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Literal, ParamSpec, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import line_cell_magic, line_magic, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from gc3store.jupyter.actions import one_line
from gc3store.support.redaction import redact

__all__ = [
    "Completes",
    "argument_at",
    "command",
    "one_line_errors",
    "option",
    "parse",
    "quote",
    "result_is_used",
    "split",
    "split_variable",
]

_TOKEN = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_QUOTED = re.compile(r""""([^"]*)"|'([^']*)'""")

#: What a Tab can offer for a word.
Completes = Literal[
    "fields", "names", "objects", "objects_as_variable", "queries", "tags", "urls", "variables"
]

P = ParamSpec("P")
T = TypeVar("T")


class _Argument(argument):
    """An argument of a magic that knows what completes it."""

    def __init__(self, names: tuple[str, ...], settings: dict[str, Any], completes: Completes | None) -> None:
        super().__init__(*names, **settings)  # type: ignore[no-untyped-call]
        self._completes = completes

    def add_to_parser(self, parser: Any, group: Any) -> None:
        action = (parser if group is None else group).add_argument(*self.args, **self.kwds)
        action.completes = self._completes


def option(*names: str, completes: Completes | None = None, **settings: Any) -> Any:
    """Return the declaration of an argument or option of a magic.

    Parameters
    ----------
    *names, **settings
        As for `argparse.ArgumentParser.add_argument`.
    completes : str, optional
        What a Tab offers for it; see `gc3store.jupyter.magics.completion`.
    """
    return _Argument(names, settings, completes)


def command(*options: Any, cell: bool = False) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Make a method a magic: the only thing that help, completion and registration need.

    The method takes the arguments that `option` declares, as an `argparse.Namespace`. Its docstring, with
    the options, is what ``%name?`` shows. ``$`` and ``{}`` in the line stay as they are. The errors of a
    line magic are one line.

    Parameters
    ----------
    *options
        Made by `option`.
    cell : bool
        Whether it can stand above a cell, too. Then the method also takes the cell's source, or nothing,
        and its errors keep their tracebacks: they may be the user's.
    """

    def decorate(method: Callable[..., T]) -> Callable[..., T]:
        run = method if cell else one_line_errors(method)

        @functools.wraps(method)
        def magic(self: Any, line: str, *source: str) -> T:
            return run(self, read(line), *source)

        parsed: Any = magic
        for declaration in reversed(options):
            parsed = declaration(parsed)
        parsed = magic_arguments()(parsed)  # type: ignore[no-untyped-call]
        read = one_line_errors(functools.partial(parse, parsed.parser))
        register: Any = line_cell_magic if cell else line_magic
        return no_var_expand(register(parsed))  # type: ignore[no-any-return]

    return decorate


def argument_at(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Action | None:
    """Return the argument or option that a word after these would belong to, if there is one."""
    options = {name: action for action in parser._actions for name in action.option_strings}
    plain = [action for action in parser._actions if not action.option_strings]
    place, pending = 0, None
    for word in words:
        if pending is not None:
            pending = None
        elif word in options:
            pending = options[word] if options[word].nargs != 0 else None
        elif not word.startswith("-"):
            place += 1
    if pending is not None or not plain:
        return pending
    if place < len(plain):
        return plain[place]
    return plain[-1] if plain[-1].nargs == "*" else None


def split(line: str) -> list[str]:
    r"""Return the words of a line; quotes hold words together, and ``# ...`` ends it.

    Nothing else is special: no backslash, no ``$``, no ``{}``.

    >>> split("16x16 'my run' name:'two words' $HOME  # why")
    ['16x16', 'my run', 'name:two words', '$HOME']
    """
    words = []
    end = 0
    for match in _TOKEN.finditer(line):
        if match[0].startswith("#"):
            break
        if line[end : match.start()].strip():
            break
        words.append(_QUOTED.sub(lambda q: q[1] if q[1] is not None else q[2], match[0]))
        end = match.end()
    else:
        if line[end:].strip():
            raise UsageError(f"There is a quote that is not closed: {line[end:].strip()[:60]}")
        return words
    if not line[end:].strip().startswith("#"):
        raise UsageError(f"There is a quote that is not closed: {line[end:].strip()[:60]}")
    return words


def quote(word: str) -> str:
    """Return a word as one would type it for `split` and for a query.

    >>> quote("sweep"), quote("my run"), quote("name:my run")
    ('sweep', '"my run"', 'name:"my run"')
    """
    if word and not re.search(r"""[\s"'#]""", word):
        return word
    field, colon, value = word.partition(":")
    mark = "'" if '"' in word else '"'
    if colon and field.isidentifier():
        return f"{field}:{mark}{value}{mark}"
    return f"{mark}{word}{mark}"


def parse(parser: argparse.ArgumentParser, line: str) -> argparse.Namespace:
    """Return the arguments in `line`.

    Raises
    ------
    IPython.core.error.UsageError
        For an option that does not exist; the message suggests one that does.
    """
    words = split(line.rstrip().removesuffix(";"))
    options = [option for action in parser._actions for option in action.option_strings]
    end = words.index("--") if "--" in words else len(words)
    for word in words[:end]:
        name = word.partition("=")[0]
        if re.match(r"--?[A-Za-z]", name) and not any(o.startswith(name) for o in options):
            near = difflib.get_close_matches(name, options, n=1)
            hint = f"did you mean {near[0]}?" if near else f"see %{parser.prog}?"
            raise UsageError(f"%{parser.prog} has no option {name}; {hint}")
    try:
        return parser.parse_intermixed_args(words)
    except UsageError as error:
        text = str(error)
        raise UsageError(f"{text[:1].upper()}{text[1:]}; see %{parser.prog}?") from None


def split_variable(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the words before ``as VAR``, and VAR.

    >>> split_variable(["IsingRun.26", "as", "run"]), split_variable(["as"])
    ((['IsingRun.26'], 'run'), (['as'], None))
    """
    if len(words) >= 2 and words[-2] == "as":
        return list(words[:-2]), words[-1]
    return list(words), None


def result_is_used() -> bool:
    """Whether the magic being run stands in an expression, as in ``x = %store_load sweep``.

    A magic as a statement of its own, ``%store_load sweep``, is one whose value is
    dropped or shown. IPython does not tell, but the instruction after the call
    does.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "run_line_magic":
        frame = frame.f_back
    if frame is None or frame.f_back is None:
        return True
    caller = frame.f_back
    after = (i for i in dis.get_instructions(caller.f_code) if i.offset > caller.f_lasti)
    following = next((i for i in after if i.opname not in ("CACHE", "NOP", "EXTENDED_ARG")), None)
    if following is None:
        return True
    if following.opname == "CALL_INTRINSIC_1":  # Python 3.12 and later; 1 is INTRINSIC_PRINT
        return following.arg != 1
    return following.opname not in ("POP_TOP", "PRINT_EXPR")


def one_line_errors(magic: Callable[P, T]) -> Callable[P, T]:
    """Make every error of a magic one line without a traceback, and without a password.

    The class must be IPython's own: it prints a traceback for any subclass. The
    error itself is the cause, and ``%tb`` shows it.
    """

    @functools.wraps(magic)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return magic(*args, **kwargs)
        except UsageError as error:
            raise UsageError(redact(str(error))) from error.__cause__
        except Exception as error:
            raise UsageError(redact(one_line(error))) from error

    return wrapper
