"""The hands of the set-up."""

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modules.setup.hands import Console, activity, locked, offline, out_of_space, run_command, to_install
from tests.floors import ROOT


def test_run_command_hears_every_line_and_returns_the_code() -> None:
    heard: list[str] = []
    code = run_command([sys.executable, "-c", "print('one'); print('two'); raise SystemExit(3)"], heard.append, ())
    assert code == 3
    assert [line for line in heard if line] == ["one", "two"]


def test_run_command_ticks_while_nothing_is_said() -> None:
    heard: list[str] = []
    run_command([sys.executable, "-c", "import time; time.sleep(1.3)"], heard.append, ())
    assert "" in heard


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_console_rewrites_its_line_on_a_terminal() -> None:
    now = [100.0]
    stream = Terminal()
    console = Console(stream, lambda: now[0])
    console.say("step")
    now[0] += 5
    console.doing("Downloading torch")
    console.say("done")
    assert stream.getvalue() == "step\n\r\x1b[K      5 s  Downloading torch\r\x1b[Kdone\n"


def test_console_speaks_seldom_elsewhere() -> None:
    now = [0.0]
    stream = io.StringIO()
    console = Console(stream, lambda: now[0], pause=10)
    for _ in range(25):
        now[0] += 1
        console.doing("Installing")
    assert stream.getvalue().splitlines() == ["      10 s  Installing", "      20 s  Installing"]


HOLD = """
import sys, time
from pathlib import Path
from modules.setup.hands import locked
with locked(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    time.sleep(1.5)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks there")
def test_one_set_up_waits_for_the_other(tmp_path: Path) -> None:
    file, waited = tmp_path / "lock", []
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        begun = time.monotonic()
        with locked(file, lambda: waited.append(True)) as handles:
            assert waited and len(handles) == 1 and time.monotonic() - begun > 0.5


def test_activity_is_what_pip_is_at() -> None:
    assert activity("  Downloading torch-2.10-cp311.whl (812.3 MB)") == "Downloading torch-2.10-cp311.whl (812.3 MB)"
    assert activity("Requirement already satisfied: x") == ""
    assert to_install("Installing collected packages: a, b-c, d") == 3 and to_install("Collecting a, b") == 0


def test_failures_are_told_apart() -> None:
    assert out_of_space("OSError: [Errno 28] No space left on device") and not out_of_space("Errno 281")
    assert offline("Failed to establish a new connection: [Errno 111]") and not offline("No matching distribution")
