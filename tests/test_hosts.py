"""Hosts that share a directory, and what they must not take from each other (C2, C5, C11)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from gc3store import ConflictError, StoreWarning, make_store
from gc3store.ids import number_of
from gc3store.sql import sqlite
from gc3store.support.files import is_abandoned, process_token
from gc3store.testing import FreshProcess

SAVING = """
import json, socket, sys, time
from gc3store import ConflictError, make_store
from gc3store.testing import Node
url, shared, start = sys.argv[1], sys.argv[2], float(sys.argv[3])
store = make_store(url, durable=False)
while time.time() < start:
    time.sleep(0.001)
ids, done = [], 0
for n in range(60):
    ids.append(store.save([socket.gethostname(), n]))
    node = store.load(shared)
    node.value += 1
    try:
        store.save(node)
        done += 1
    except ConflictError:
        pass
print(json.dumps([socket.gethostname(), ids, done]))
"""


def on_host(name, code, *arguments):
    """Start a script on what is a host of its own as far as names and process IDs go."""
    command = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c"]
    inner = f'hostname {name} && exec "$@"'
    return subprocess.Popen(
        [*command, inner, "sh", sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )


@pytest.fixture
def hosts():
    if subprocess.run(
        ["unshare", "--uts", "--pid", "--fork", "true"], check=False, capture_output=True
    ).returncode:
        pytest.skip("there are no namespaces for this user")


@pytest.mark.parametrize("names", [("one", "two", "three"), ("same", "same", "same")])
def test_hosts_save_at_once(hosts, place, names):
    """Process IDs are the same on all of them, and in containers the host names may be."""
    import time

    from gc3store.testing import Node

    store = place.open()
    shared = store.save(Node(0))
    start = time.time() + 3
    workers = [on_host(name, SAVING, place.url, shared, start) for name in names]
    found = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
    assert [name for name, _, _ in found] == list(names)
    given = [id_ for _, ids, _ in found for id_ in ids]
    assert len({number_of(id_) for id_ in given}) == len(given) == 180
    assert sorted(store.list()) == sorted([shared, *given])
    assert store.load(shared).value == sum(done for _, _, done in found)
    for name, ids, _ in found:
        assert [store.load(id_) for id_ in ids] == [[name, n] for n in range(60)]


TOKEN = "from gc3store.support.files import process_token; print(process_token())"


def test_a_file_being_written_elsewhere_is_not_taken_for_a_left_one(hosts, tmp_path):
    """Whether a process lives can be told only where it runs: not from another container."""
    here = tmp_path / f"{process_token()}-1"
    here.write_bytes(b"")
    assert not is_abandoned(str(here))
    gone = subprocess.run(
        [sys.executable, "-c", TOKEN], capture_output=True, text=True, check=True
    ).stdout.strip()
    left = tmp_path / f"{gone}-1"
    left.write_bytes(b"")
    assert is_abandoned(str(left))  # its process has ended
    token = on_host(os.uname().nodename, TOKEN).communicate(timeout=60)[0].strip()
    elsewhere = tmp_path / f"{token}-1"
    elsewhere.write_bytes(b"")
    assert not is_abandoned(str(elsewhere))
    os.utime(elsewhere, (0, 0))
    assert is_abandoned(str(elsewhere))  # after a week


def test_a_conflict_names_both_revisions(place):
    store = place.open()
    id_ = store.save([1])
    store.replace(id_, [2], expected=1)
    store.replace(id_, [3])
    with pytest.raises(ConflictError, match=r"revision 3.*revision 1") as caught:
        store.replace(id_, [4], expected=1)
    assert (caught.value.id, caught.value.expected, caught.value.found) == (id_, 1, 3)
    assert (store.load(id_), store.describe(id_).revision) == ([3], 3)
    store.remove(id_)
    with pytest.raises(ConflictError) as caught:
        store.replace(id_, [5], expected=3)
    assert (caught.value.expected, caught.value.found) == (3, None)


class TestNetworkFileSystems:
    MOUNTS = (
        "22 1 0:21 / / rw - ext4 /dev/sda1 rw\n"
        "30 22 0:30 / /home rw - nfs4 server:/home rw\n"
        "31 30 0:31 / /home/local\\040disk rw - xfs /dev/sdb1 rw\n"
        "32 22 0:32 / /scratch rw - lustre mds:/scratch rw\n"
        "33 22 0:33 / /mnt/cloud rw - fuse.sshfs host:/ rw\n"
        "34 32 0:34 / /scratch/tmp rw - tmpfs none rw\n"
    )

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/var/data", None),
            ("/home", "nfs4"),
            ("/home/ann/jobs", "nfs4"),
            ("/homework", None),
            ("/home/local disk/x", None),
            ("/scratch/run", "lustre"),
            ("/scratch/tmp/run", None),
            ("/mnt/cloud", "fuse.sshfs"),
        ],
    )
    def test_which_they_are(self, tmp_path, path, kind):
        mounts = tmp_path / "mountinfo"
        mounts.write_text(self.MOUNTS)
        assert sqlite.network_filesystem(path, mounts=str(mounts)) == kind
        assert sqlite.network_filesystem(path, mounts="/no/such/file") is None

    def test_a_database_there_is_warned_of(self, tmp_path, monkeypatch):
        """The journal that needs no shared memory is used, and others are named."""
        disk = tmp_path / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "none", disk], check=False).returncode:
            pytest.skip("file systems cannot be mounted here")
        try:
            monkeypatch.setattr(sqlite, "_NETWORK", {*sqlite._NETWORK, "tmpfs"})
            url = f"sqlite:///{disk}/jobs.db"
            with pytest.warns(StoreWarning, match=r"network file system \(tmpfs\).*file:///.*postgresql://"):
                store = make_store(url)
            id_ = store.save([1])
            assert (disk / "jobs.db").read_bytes()[18:20] == b"\1\1"  # no write-ahead log
            assert not list(disk.glob("*-wal"))
            ids = [FreshProcess(_save_many, url).result() for _ in range(2)]
            assert len(store) == 1 + sum(map(len, ids))
            assert store.load(id_) == [1]
            store.close()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                make_store(url, read_only=True).close()  # readers need no warning
        finally:
            subprocess.run(["umount", disk], check=True)


def _save_many(url):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with make_store(url) as store:
            return [store.save([n]) for n in range(10)]
