"""Benchmarks: gc3store beside its peers and beside what the machine can do at best.

One command writes one report::

    uv run --group bench python -m benchmarks            # some minutes
    uv run --group bench python -m benchmarks --quick    # a smoke run, under a minute

How it measures
---------------
* Every contender lives in a process of its own (`benchmarks.worker`), driven over a
  pipe, so that none inherits another's heap, caches or garbage, and so that GC3Pie,
  which needs an old SQLAlchemy, can have its own virtual environment.
* Rounds are interleaved: each round runs a slice of every contender, in an order that
  changes from round to round. A ratio is the median of the rounds' ratios, so what
  else the machine does in between falls on both sides.
* Synchronisations are counted, not believed: a short run under ``strace`` gives the
  fsync and fdatasync calls that an operation makes.
* Memory is read from outside: the kernel's high-water mark of the worker's resident
  memory, reset before the operation.
* Like is compared with like: each contender names the floor that makes the same
  promise about a power cut.

Cautions
--------
Read the ratios; absolute times do not carry to another machine. Where ``fsync`` is
cheap, durable figures flatter everybody, so the number of synchronisations stands
beside them. ext4 creates files many times more slowly for minutes after mass deletions:
compare file stores on tmpfs, or on a disk that has been left alone.
"""
