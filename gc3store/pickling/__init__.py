"""Objects to payloads and back.

A payload is a standard pickle stream of protocol 5, with its large buffers
(arrays, frames) out of band beside it. Persistables inside the object are
written as calls of `gc3store.persistable.reference` with a position in the
record's list of references; so a payload holds no IDs, and a plain
`pickle.Unpickler`, given the buffers, reads it by itself.

How references are found
------------------------
``Pickler.persistent_id`` would be called for every single object, integers
included. A private ``dispatch_table`` is asked once per *class* instead, and only
for instances that the pickler has no built-in way for: ``__missing__`` looks at
the class, and keeps the reducer for it. For all classes but Persistables that
is ``__reduce_ex__`` itself, called from C.

Which serializer
----------------
The C pickler writes what can be imported by name. What a notebook or a script
defines, lambdas and local classes need cloudpickle, which stores them by value;
whether it is needed shows in the class of an instance, at the latest in the
finished stream (functions are named in it), so that nothing ordinary is pickled
twice. Where the live ``__main__`` has a class of the same name, loading uses
that one.

Which module does what
----------------------
`reducers` knows what is particular about classes, and `checks` which of them would not
load again. `encoder` writes payloads, each an `Encoded`, and `decoder` reads them, each
from a `Source`: these two are what the engine and the backends pass on. `finder` turns the names
in a payload into classes, under the rules of `trust`; `placeholders` stand for those that are
missing. `explain` finds out why something could not be saved or loaded.
"""

from gc3store.pickling.decoder import Finder, Source, checksum_of, decode, make_shell
from gc3store.pickling.encoder import (
    IN_BAND,
    SPOOL,
    STEP,
    Encoded,
    Encoder,
    encode,
    give_back,
    take_encoder,
)
from gc3store.pickling.reducers import (
    accepts_id,
    inherits,
    is_persistable,
    may_have_ids,
    tag_class,
    without_ids,
)

__all__ = [
    "IN_BAND",
    "SPOOL",
    "STEP",
    "Encoded",
    "Encoder",
    "Finder",
    "Source",
    "accepts_id",
    "checksum_of",
    "decode",
    "encode",
    "give_back",
    "inherits",
    "is_persistable",
    "make_shell",
    "may_have_ids",
    "tag_class",
    "take_encoder",
    "without_ids",
]
