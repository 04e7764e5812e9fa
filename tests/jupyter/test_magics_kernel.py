"""The magics in a real kernel: status of cells, completion, classes defined in a notebook."""

import os
import sys

import pytest
from jupyter_client.manager import KernelManager

pytestmark = pytest.mark.timeout(120)


class Kernel:
    """A running kernel, and what its cells say."""

    def __init__(self, directory, **environment):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        environment = {
            **os.environ,
            "IPYTHONDIR": str(directory / "ipython"),
            "MPLBACKEND": "agg",
            **environment,
        }
        environment.pop("GC3STORE_URL", None) if "GC3STORE_URL" not in environment else None
        self.manager.start_kernel(cwd=str(directory), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code):
        """Run a cell; return its reply, and what it wrote to stdout, stderr and as results."""
        said = {"stdout": "", "stderr": "", "results": [], "errors": []}

        def hook(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                said[content["name"]] += content["text"]
            elif message["msg_type"] in ("execute_result", "display_data"):
                said["results"].append(content["data"])
            elif message["msg_type"] == "error":
                said["errors"].append(content)

        reply = self.client.execute_interactive(
            code, output_hook=hook, timeout=60, allow_stdin=False, stop_on_error=False
        )
        return reply["content"], said

    def ok(self, code):
        """Run a cell that must succeed; return the text it wrote and its result's text."""
        reply, said = self.run(code)
        assert reply["status"] == "ok", (reply, said)
        return said["stdout"] + "".join(data.get("text/plain", "") for data in said["results"])

    def complete(self, code):
        """Return the texts that a Tab at the end of `code` offers, whole."""
        message_id = self.client.complete(code, len(code))
        while True:
            reply = self.client.get_shell_msg(timeout=30)
            if reply["parent_header"].get("msg_id") == message_id:
                content = reply["content"]
                return [code[: content["cursor_start"]] + match for match in content["matches"]]

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def start(tmp_path):
    """Start kernels in an empty directory."""
    kernels = []

    def start(**environment):
        kernels.append(Kernel(tmp_path, **environment))
        kernels[-1].ok("%load_ext gc3store")
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.stop()


CLASS = """
class Sweep:
    def __init__(self, temperatures):
        self.temperatures = temperatures
    def summary(self):
        return "{}: " + str(len(self.temperatures))

def double(x):
    return {} * x
"""


def test_what_a_notebook_defines_loads_in_a_fresh_kernel_and_the_live_class_wins(start):
    first = start()
    first.ok(CLASS.format("old", 2))
    first.ok("sweep = Sweep([1.0, 2.27])\n%store_save sweep double")
    first.stop()

    second = start()
    second.ok("x = %store_load sweep\nf = %store_load double")
    assert second.ok("x.summary(), f(21), type(x).__name__") == "('old: 2', 42, 'Sweep')"

    third = start()
    third.ok(CLASS.format("edited", 3))
    third.ok("x = %store_load sweep")
    assert third.ok("x.summary(), type(x) is Sweep, isinstance(x, Sweep)") == "('edited: 2', True, True)"
    third.ok(CLASS.format("edited again", 3))
    third.ok("y = %store_load sweep")
    assert third.ok("y.summary(), type(y) is Sweep") == "('edited again: 2', True)"
    third.ok("y.temperatures.append(3.0)\n%store_save y --as sweep")
    assert third.ok("z = %store_load sweep\nz.summary()") == "'edited again: 3'"


def test_a_mistake_is_one_line_and_stops_run_all(start):
    kernel = start()
    reply, said = kernel.run("%store_load nothing\nafter = 1")
    assert reply["status"] == "error"
    assert reply["ename"] == "UsageError"
    assert said["stderr"] == "UsageError: There is no object 'nothing'; %store_list shows what there is.\n"
    assert said["errors"] == []  # where a traceback would be
    assert kernel.ok("'after' in globals()") == "False"


def test_completion(start):
    kernel = start()
    kernel.ok(
        "sweep = [1]\nswept = 2\n%store_save sweep\nsweep = [2]\n%store_save sweep --tag cold\n%store_save swept"
    )

    def offered(code):
        return set(kernel.complete(code))

    assert {"%store_load sweep", "%store_load swept"} <= offered("%store_load sw")
    assert {"%store_load list.1", "%store_load list.2"} <= offered("%store_load list.")
    assert {"%store_load sweep@1", "%store_load sweep@2"} <= offered("%store_load sweep@")
    assert {"x = %store_load sweep", "x = %store_load swept"} <= offered("x = %store_load sw")
    assert "x = %store_load list.2" in offered("x = %store_load lis")
    assert "%store_load sweep as" in offered("%store_load sweep a")
    assert "%store_load --force" in offered("%store_load --f")
    assert {"%store_save sweep", "%store_save swept"} <= offered("%store_save sw")
    assert "%store_save sweep --tag" in offered("%store_save sweep --t")
    assert "%store_save sweep --tag cold" in offered("%store_save sweep --tag c")
    assert "%store_replace list.1 sweep" in offered("%store_replace list.1 swee")
    assert "%store_open sqlite:///" in offered("%store_open sq")
    assert "%store_list class:int" in offered("%store_list class:i")
    assert "%store_list state:" in offered("%store_list st")
    assert "%%store_save --tag" in offered("%%store_save --t")


def test_completion_is_capped_and_quick(start):
    kernel = start()
    kernel.ok("s = %store_open sqlite:///many.db\nfor _ in s.save_many(range(3000)): pass")
    ids = [
        text for text in kernel.complete("%store_load int.") if text[-1].isdecimal()
    ]  # there are others' too
    assert len(ids) == 50
    assert kernel.complete("%store_load int.2999") == ["%store_load int.2999"]


def test_documentation_is_shown(start):
    kernel = start()
    reply, _ = kernel.run("%store_save?")
    text = reply["payload"][0]["data"]["text/plain"]
    assert "%store_save sweep" in text
    assert "--as LABEL" in text


def test_origin_is_notebook_cell_and_source(start, tmp_path):
    kernel = start(JPY_SESSION_NAME=str(tmp_path / "analysis.ipynb"))
    kernel.ok("x = [1]")
    reply, _ = kernel.run("# three numbers\ny = [1, 2, 3]\n%store_save y")
    info = kernel.ok("%store_info y")
    assert f"analysis.ipynb, cell [{reply['execution_count']}]" in info
    assert "    # three numbers\n    y = [1, 2, 3]" in info


def test_python_alone_records_the_cell_too(start):
    kernel = start()
    kernel.ok("%unload_ext gc3store\nimport gc3store\nst = gc3store.make_store('sqlite:///plain.db')")
    kernel.ok("# by hand\nst.save([1], name='x')")
    assert (
        kernel.ok("st.describe(st.find('x')[0]).origin['source']") == "\"# by hand\\nst.save([1], name='x')\""
    )
    kernel.ok("st.close()")


def test_passwords_stay_out_of_everything(start, tmp_path):
    secret = "tig3r-w0rd"
    kernel = start()
    kernel.ok(
        f"from urllib.request import Request\nr = Request('https://me:{secret}@example.org/')\n"
        f"config = dict(password={secret!r})\nx = [1]\n%store_save x"
    )
    shown = kernel.ok("%store_info x")
    assert "password='***'" in shown
    reply, said = kernel.run(f"%store_open postgresql://me:{secret}@127.0.0.1:1/none")
    assert secret not in str(reply) + str(said)
    reply, said = kernel.run(f"%store_open nonsense://me:{secret}@host/none")
    assert reply["status"] == "error"
    assert secret not in str(reply) + str(said)
    assert secret not in kernel.ok(
        "last = str(In[:-1]) + _i + _ii + str([v for k, v in globals().items() if k.startswith('_i')])\nlast"
    )
    kernel.ok("get_ipython().history_manager.writeout_cache()")
    kernel.stop()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_a_note_says_what_a_fresh_kernel_cannot_load(start, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "jobs.py").write_text("class Job: pass\n")
    (tmp_path / "here.py").write_text("class Job: pass\n")
    kernel = start()
    kernel.ok("class Odd(Exception):\n    def __init__(self, a, b): super().__init__(a)\nodd = Odd(1, 2)")
    assert "\nNote: This __main__.Odd will probably not load again" in kernel.ok("%store_save odd")
    kernel.ok(
        "import sys; sys.path.append('elsewhere')\nimport jobs, here\nfound, lost = here.Job(), [jobs.Job()]"
    )
    assert "Note" not in kernel.ok("%store_save found")
    assert "Note: a fresh kernel will not find the module jobs that this needs" in kernel.ok(
        "%store_save lost"
    )
    kernel.stop()
    fresh = start()  # and the notes are right
    assert fresh.ok("x = %store_load found\ntype(x).__module__").endswith("'here'")
    for name in ("odd", "lost"):
        reply, _ = fresh.run(f"%store_load {name}")
        assert reply["ename"] == "UsageError"
