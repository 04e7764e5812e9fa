"""Text for people: on one line, not too long, and without characters that a terminal obeys.

What is shown may come from a store that others have filled. Control characters can rewrite a
terminal, and directional ones make a string look different from what it is; both are shown as escapes.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ELLIPSIS", "MAX_LINE", "clean", "shorten", "single_line"]

#: Stands for what is left out.
ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"

#: Most characters of one string, unless a caller gives a limit.
MAX_LINE: Final = 200


def shorten(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`; an ellipsis stands for the rest.

    >>> shorten("abcdef", 4), shorten("abcd", 4)
    ('abc…', 'abcd')
    """
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def clean(text: str, limit: int | None = MAX_LINE) -> str:
    r"""Return `text` with escapes in place of the characters that cannot be seen.

    Parameters
    ----------
    text : str
        Any string.
    limit : int or None
        How many characters of it to show; `None` for all.

    Examples
    --------
    >>> print(clean("two\nlines \x1b[31mred"))
    two\nlines \x1b[31mred
    """
    text = text if limit is None else shorten(text, limit)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def single_line(text: str, limit: int = MAX_LINE) -> str:
    r"""Return `text` as `clean` does, with one blank in place of each line break and other white space.

    >>> print(single_line("two\nlines \x1b[31mred"))
    two lines \x1b[31mred
    """
    return clean(" ".join(shorten(text, limit).split()), None)
