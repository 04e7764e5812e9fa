"""What a rewritten pickle makes: constants, tuples, and nodes.

See `gc3store.inspection.machine.rewrite` for what these are for.
"""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Any, Final, TypeAlias

from gc3store.persistable import current_name

# What a Node stands for: its third element.
DICT: Final = 1  #: ``(pairs or None, None, DICT)``
SET: Final = 2  #: an empty set, filled by ITEMS
FROZENSET: Final = 3  #: ``(items, None, FROZENSET)``
CALL: Final = 4  #: ``(callable, arguments, CALL)``: REDUCE
NEW: Final = 5  #: ``(class, arguments, NEW)``: NEWOBJ
NEW_EX: Final = 6  #: ``((class, arguments, keywords), None, NEW_EX)``
OBJ: Final = 7  #: ``((class, *arguments), None, OBJ)``
INST: Final = 8  #: ``(arguments, name, INST)``
NAME: Final = 9  #: ``(module, name, NAME)``: a global
NAME2: Final = 10  #: the same in a stream of protocol 2 or below: names of Python 2
PERSISTENT: Final = 11  #: ``(value, None, PERSISTENT)``
EXTENSION: Final = 12  #: ``(code, None, EXTENSION)``
BYTES: Final = 13  #: ``(view, None, BYTES)``: a large byte string
BYTEARRAY: Final = 14
TEXT: Final = 15  #: ``(view, None, TEXT)``: a large string, encoded
DIGITS: Final = 16  #: ``(text, None, DIGITS)``: an integer that is too long to convert
BUFFER: Final = 17  #: ``(view, None, BUFFER)``: an out-of-band buffer
LIST: Final = 19  #: ``(items or None, None, LIST, *items)``
EFFECT: Final = 18  #: a CALL whose result is thrown away: it is made for its effect
# What was done to a Node later: the third element of those appended to it.
STATE: Final = 32  #: ``(state, None, STATE)``: BUILD
PAIRS: Final = 33  #: ``((key, value, key, value, ...), None, PAIRS)``
ITEMS: Final = 34  #: ``(items, None, ITEMS)``: ADDITEMS
SETTER: Final = 35  #: ``(setter, (object, state), SETTER)``: a function that was called with these


#: Anything but a constant or a tuple: a list of two operands, what it stands for (one of
#: the constants above), and what was done to it since. A plain list, because that is what
#: the unpickler is fastest at making and at appending to.
Node: TypeAlias = list[Any]


def modern_name(module: str, name: str) -> tuple[str, str]:
    """Return what Python 3 calls something that a pickle of Python 2 names.

    >>> modern_name("__builtin__", "xrange")
    ('builtins', 'range')
    """
    if (module, name) in NAME_MAPPING:
        module, name = NAME_MAPPING[(module, name)]
    else:
        module = IMPORT_MAPPING.get(module, module)
    return module, name


def named_by(node: Node) -> tuple[str, str]:
    """Return module and name of today for what a node of kind `NAME` or `NAME2` names.

    Both operands must be strings.
    """
    module, name = node[0], node[1]
    if node[2] == NAME2:
        module, name = modern_name(module, name)
    return current_name(module, name)
