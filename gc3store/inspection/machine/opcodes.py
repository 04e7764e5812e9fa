"""The opcodes of pickle: what follows each in a stream, and what it does to the machine's stack.

One table, from which everything that reads streams here has its knowledge. It is made of what
`pickletools` says, and so knows the opcodes of the Python that runs.
"""

from __future__ import annotations

import pickletools
from typing import Final, NamedTuple

__all__ = ["BY_CODE", "BY_NAME", "Opcode", "end_of"]


class Opcode(NamedTuple):
    """What is known of an opcode.

    Attributes
    ----------
    name : str
        Its name, as `pickletools` has it.
    code : int
        The byte that it is.
    width : int
        How many bytes its argument has, or the number that says how many bytes follow.
    counted : bool
        Whether there is such a number.
    lines : int
        How many lines of text its argument has.
    marked : bool
        Whether it takes everything from the last MARK on.
    takes : int
        How many entries it takes besides, below the MARK if there is one.
    leaves : int
        How many entries it leaves.
    makes : str
        The type of the constant that it pushes: ``int``, ``float``, ``bool``, ``str``, ``bytes``,
        ``bytearray`` or ``None``; otherwise empty.
    """

    name: str
    code: int
    width: int
    counted: bool
    lines: int
    marked: bool
    takes: int
    leaves: int
    makes: str

    @property
    def is_adding(self) -> bool:
        """Whether it adds what comes after the last MARK to what stands below that."""
        return self.marked and self.takes > 0

    @property
    def is_put(self) -> bool:
        """Whether it puts the top of the stack into the memo."""
        return self.name == "MEMOIZE" or self.name.endswith("PUT")

    @property
    def is_get(self) -> bool:
        """Whether it pushes something from the memo."""
        return self.name.endswith("GET")


#: How many bytes say how many follow, by what `pickletools` has in place of a length.
_COUNTS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
#: Types of constants, by the names that `pickletools` has for what is pushed.
_CONSTANTS: Final = {
    "int": "int",
    "int_or_bool": "int",
    "float": "float",
    "bool": "bool",
    "None": "None",
    "str": "str",
    "bytes_or_str": "str",
    "bytes": "bytes",
    "bytearray": "bytearray",
}


def _opcode(info: pickletools.OpcodeInfo) -> Opcode:
    length = 0 if info.arg is None else info.arg.n
    lines = 0
    if length == pickletools.UP_TO_NEWLINE:
        lines = 2 if info.name in ("GLOBAL", "INST") else 1
    marked = pickletools.markobject in info.stack_before
    below = info.stack_before.index(pickletools.markobject) if marked else len(info.stack_before)
    pushed = info.stack_after[0].name if info.stack_after and not info.stack_before else ""
    return Opcode(
        name=info.name,
        code=ord(info.code),
        width=_COUNTS.get(length, max(length, 0)),
        counted=length in _COUNTS,
        lines=lines,
        marked=marked,
        takes=below,
        leaves=len(info.stack_after),
        makes=_CONSTANTS.get(pushed, ""),
    )


BY_NAME: Final[dict[str, Opcode]] = {info.name: _opcode(info) for info in pickletools.opcodes}
BY_CODE: Final[dict[int, Opcode]] = {opcode.code: opcode for opcode in BY_NAME.values()}


def end_of(data: bytes, at: int) -> int:
    r"""Return where the opcode at `at` ends, which may be beyond the end of the stream.

    Raises
    ------
    LookupError, ValueError
        If there is no such opcode, or its argument is cut off.

    Examples
    --------
    >>> end_of(b"K\x05.", 0), end_of(b"X\x02\x00\x00\x00hi.", 0), end_of(b"cm\nn\n.", 0)
    (2, 7, 5)
    """
    opcode = BY_CODE[data[at]]
    if opcode.lines:
        for _ in range(opcode.lines):
            at = data.index(b"\n", at) + 1
        return at
    if opcode.counted:
        return at + 1 + opcode.width + int.from_bytes(data[at + 1 : at + 1 + opcode.width], "little")
    return at + 1 + opcode.width
