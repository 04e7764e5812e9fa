"""The command line, as a person or a script on a login node uses it."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gc3store import make_store
from gc3store.cli import main

SAMPLES = Path(__file__).parent / "data" / "gc3pie"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A store with five objects."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = make_store(tmp_path / "store")
    store.save([1, 2, 3], name="numbers", tags=["a", "b"])
    for i in range(3):
        store.save({"number": i}, name=f"run {i}")
    store.save("x" * 5000, name="long")
    return str(tmp_path / "store")


@pytest.fixture
def run(capsys):
    def run(*arguments, code=0):
        try:
            found = main([str(a) for a in arguments])
        except SystemExit as exit_:
            found = exit_.code
        out, err = capsys.readouterr()
        assert found == code, err
        if code in (1, 2) and not err.startswith("usage:"):
            assert err.count("\n") <= 1
            assert "Traceback" not in err
        return err if code == 2 else out

    return run


def damage(place, id_):
    path = Path(place) / f"{id_}.gc3"
    data = bytearray(path.read_bytes())
    data[-3] ^= 0xFF
    path.write_bytes(data)


def test_objects_are_listed(place, run):
    lines = run("ls", place).splitlines()
    assert lines[0].split() == ["id", "cls", "state", "name", "size", "modified"]
    assert [line.split()[0] for line in lines[1:]] == ["list.1", "dict.2", "dict.3", "dict.4", "str.5"]
    assert run("ls", place, "class:dict", "--columns", "id,name", "--limit", 2) == (
        "id      name\ndict.2  run 0\ndict.3  run 1\n"
    )
    assert run("ls", place, "--order", "size", "--reverse", "--limit", 1, "--columns", "id").split() == [
        "id",
        "str.5",
    ]
    assert run("ls", place, "class:set") == ""


def test_a_list_as_json(place, run):
    found = json.loads(run("ls", place, "--json"))
    assert [entry["id"] for entry in found] == ["list.1", "dict.2", "dict.3", "dict.4", "str.5"]
    assert found[0]["tags"] == ["a", "b"]
    assert found[0]["modified"].endswith("+00:00")
    assert json.loads(run("ls", place, "nothing-like-it", "--json")) == []


def test_what_is_known_of_a_store_and_of_objects(place, run):
    text = run("info", place)
    assert "objects: 5" in text
    assert "builtins.dict: 3," in text
    about = json.loads(run("info", place, "--json"))
    assert about["classes"]["builtins.list"]["objects"] == 1
    assert "preview: [1, 2, 3]" in run("info", place, "list.1")
    by_number, by_name = json.loads(run("info", place, "1", "run 2", "--json"))
    assert by_number["id"] == "list.1"
    assert by_name["id"] == "dict.4"
    assert by_number["origin"]["python"]


def test_exports_can_be_restored(place, run, tmp_path):
    paths = run("export", place, "list.1", "long", "-o", tmp_path / "out").split()
    assert [os.path.basename(path) for path in paths] == ["list.1.gc3export", "str.5.gc3export"]
    with make_store(tmp_path / "other") as other:
        assert other.load(other.restore(Path(paths[0]).read_bytes())) == [1, 2, 3]
    before = Path(paths[0]).read_bytes()
    run("export", place, "list.1", "-o", tmp_path / "out", code=1)
    assert Path(paths[0]).read_bytes() == before
    assert len(json.loads(run("export", place, "-q", "class:dict", "-o", tmp_path / "more", "--json"))) == 3
    done = subprocess.run(
        [sys.executable, "-m", "gc3store.cli", "export", place, "1", "-o", "-"],
        capture_output=True,
        check=True,
    )
    assert done.stdout == before


def test_damage_is_found(place, run):
    assert run("verify", place) == "5 verified, 0 damaged\n"
    damage(place, "dict.3")
    text = run("verify", place, code=1)
    assert "The record of dict.3 is damaged" in text
    assert text.endswith("5 verified, 1 damaged\n")
    assert list(json.loads(run("verify", place, "--json", code=1))["damaged"]) == ["dict.3"]
    assert run("verify", place, "dict.2") == "1 verified, 0 damaged\n"
    assert run("verify", place, "-q", "class:list") == "1 verified, 0 damaged\n"


def test_copying(place, run, tmp_path):
    target = f"sqlite:///{tmp_path}/copy.db"
    assert run("copy", place, target, "list.1") == "1 copied, 0 were there, 0 failed\n"
    assert run("copy", place, target) == "4 copied, 1 were there, 0 failed\n"
    result = json.loads(run("copy", place, target, "--json", "-q", "class:dict"))
    assert result["copied"] == 0
    assert len(result["ids"]) == 3
    with make_store(target) as copy:
        assert copy.load(copy.find("run 1")[0]) == {"number": 1}
    damage(place, "dict.3")
    assert run("copy", place, tmp_path / "third", code=1) == "4 copied, 0 were there, 1 failed\n"


def test_gc3pies_stores(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copyfile(SAMPLES / "jobs.db", tmp_path / "jobs.db")
    lines = run(
        "ls", tmp_path / "jobs.db", "temperature:>3", "--columns", "id,state,magnetization"
    ).splitlines()
    assert lines[1].split() == ["57", "TERMINATED", "0.2978125"]
    assert "FiniteSizeStudy.1" in run("info", SAMPLES / "session")
    assert run("verify", SAMPLES / "fs") == "23 verified, 0 damaged\n"
    assert run("copy", tmp_path / "jobs.db", tmp_path / "ours", "47") == "23 copied, 0 were there, 0 failed\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ls", "/nonexistent/store"], 1, ""),
        (["ls", "flie:///tmp"], 2, "did you mean 'file:'"),
        (["ls", "{}", "fooo:1"], 2, "no field 'fooo'"),
        (["ls", "{}", "--columns", "nme"], 2, "did you mean 'name'"),
        (["ls", "{}", "--order", "nme"], 2, "did you mean 'name'"),
        (["ls", "{}", "--reverse"], 2, "needs --order"),
        (["ls", "{}", "--limit", "-3"], 2, "limit must be"),
        (["info", "{}", "dict.99"], 1, ""),
        (["export", "{}"], 2, "Name the objects"),
        (["export", "{}", "1", "2", "-o", "-"], 2, "Only one object"),
        (["verify", "{}", "1", "-q", "class:dict"], 2, "either IDs or --query"),
        (["frobnicate", "{}"], 2, "invalid choice"),
        ([], 2, "required"),
        (["ls"], 2, "URL"),
    ],
)
def test_mistakes_are_one_line(place, run, arguments, code, says):
    assert says in run(*(a.format(place) for a in arguments), code=code)


def test_looking_changes_nothing(place, run):
    def content():
        return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in Path(place).rglob("*") if p.is_file()}

    before = content()
    run("ls", place)
    run("info", place)
    run("verify", place)
    run("export", place, "1", "-o", Path(place).parent / "out")
    assert content() == before


def test_a_terminal_is_not_given_orders(place, run):
    with make_store(place) as store:
        store.save([1], name="\x1b[31mred\nline")
    text = run("ls", place, "--columns", "id,name")
    assert "\x1b" not in text
    assert "\\x1b[31mred\\nline" in text


def test_a_reader_that_goes_away_is_no_error(place):
    for _ in range(3):
        with make_store(place) as store:
            store.save_many([{"n": i} for i in range(1000)])
    command = f"'{sys.executable}' -m gc3store.cli ls '{place}' --json | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=100)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["[", "141"]


def test_an_interrupted_copy_says_how_to_go_on(place, tmp_path):
    with make_store(place) as store:
        store.save_many([{"n": i} for i in range(8000)])
    for attempt in range(20):  # a busy machine may let the copy end before the interrupt comes
        copied = tmp_path / f"copy-{attempt}"
        process = subprocess.Popen(
            [sys.executable, "-m", "gc3store.cli", "copy", place, str(copied)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not list(copied.glob("*.gc3")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=100)
        if process.returncode != 0:
            break
    assert process.returncode == 130
    assert err == "gc3store: interrupted; the same command goes on where it stopped\n"
    assert main(["copy", place, str(copied), "--quiet"]) == 0
    assert len(make_store(copied)) == 8005


@pytest.mark.parametrize("command", ["ls", "info", "export", "verify", "copy"])
def test_help_teaches_with_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.count(f"  gc3store {command} ") >= 2


def test_an_export_that_fails_leaves_no_file(place, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gc3store.cli", "export", place, "str.5", "-o", str(tmp_path / "out")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_record_is_exported_as_it_is(place, run, tmp_path):
    damage(place, "dict.3")
    (path,) = run("export", place, "dict.3", "-o", tmp_path / "out", code=1).split()
    store = make_store(place)
    store.remove("dict.3")
    assert store.restore(Path(path).read_bytes()) == "dict.3"
    assert "The record of dict.3 is damaged" in run("verify", place, code=1)
