"""Run, or go on running, a GC3Pie session of real shell jobs: ``engine.py WORKDIR STORE``.

STORE is a URL as GC3Pie takes it, or "" for the session's default, a directory. Used by
test_client.py, which kills it in the middle.
"""

import os
import sys
import time

CONFIG = """
[auth/none]
type=none
[resource/localhost]
enabled=yes
type=shellcmd
auth=none
transport=local
max_cores_per_job=1
max_memory_per_core=2GB
max_walltime=2hours
max_cores=2
architecture=x86_64
override=no
resourcedir={workdir}/resource
time_cmd=/usr/bin/time
"""


def main(workdir, place):
    import gc3store.gc3pie

    gc3store.gc3pie.install()

    import gc3libs.config
    import gc3libs.core
    from gc3libs import Run
    from gc3libs.session import Session
    from ising import FiniteSizeStudy, TemperatureSweep

    configuration = os.path.join(workdir, "gc3pie.conf")
    with open(configuration, "w") as file:
        file.write(CONFIG.format(workdir=workdir))
    session = Session(os.path.join(workdir, "session"), store_or_url=place or None)
    print(session.store, flush=True)
    if not session.tasks:
        sweeps = [TemperatureSweep(size, [-1.0, 1.5, 3.5], os.path.join(workdir, "out")) for size in (4, 40)]
        session.add(FiniteSizeStudy(sweeps, jobname="study"))
    core = gc3libs.core.Core(gc3libs.config.Configuration(configuration))
    engine = gc3libs.core.Engine(core, store=session.store, retrieve_overwrites=True)
    for task in session:
        engine.add(task)
    deadline = time.monotonic() + 200
    while any(task.execution.state != Run.State.TERMINATED for task in session):
        assert time.monotonic() < deadline
        engine.progress()
        session.save_all()
        time.sleep(0.1)
    session.set_end_timestamp()
    print("finished", *session.list_ids())


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), sys.argv[2])
