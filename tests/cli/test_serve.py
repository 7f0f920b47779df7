"""Serving the page: the address is printed when it answers, and everything ends in good order."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modules.commands.serve import address_of, bound_socket
from modules.errors import SetupError
from modules.settings import Settings
from tests.cli.conftest import Command
from tests.floors import ROOT


@contextmanager
def served(root: Path, data: Path, *flags: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start `webui.py` and wait for the address; give both."""
    command = [sys.executable, str(ROOT / "webui.py"), "--port", "0", "--data-dir", str(data), *flags]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    with subprocess.Popen(
        [*command, "--models-dir", str(root / "models")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            found = re.search(r"http://\S+", line)
            if found:
                try:
                    yield process, found.group()
                finally:
                    if process.poll() is None:
                        process.kill()
                return
        raise AssertionError(said)


@pytest.mark.parametrize("plea", [signal.SIGINT, signal.SIGTERM])
def test_address_answers_when_it_is_printed_and_ctrl_c_ends_it(root: Path, tmp_path: Path, plea: int) -> None:
    with served(root, tmp_path) as (process, address):
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200 and b"Easel" in answer.read()
        stream = urllib.request.urlopen(f"{address}easel/events?after=0", timeout=10)  # a page that watches
        process.send_signal(plea)
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        rest = process.stdout.read()
        stream.close()
    assert "Traceback" not in rest and "Ending" in rest


def test_everybody_is_warned_where_everybody_may_enter(root: Path, tmp_path: Path) -> None:
    with served(root, tmp_path, "--listen") as (process, address):
        assert process.stdout is not None
        assert address.startswith("http://127.0.0.1:")
        assert "there is no login" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)


def test_second_ctrl_c_does_not_wait(root: Path, tmp_path: Path) -> None:
    with served(root, tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in (0, 130, -signal.SIGINT)


def test_taken_port_is_a_sentence(run: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = run("--port", str(port))
    assert ran.code == 1
    assert f"The port {port} is taken" in ran.err and "--port" in ran.err and ran.out == ""


def test_foreign_address_is_a_sentence() -> None:
    with pytest.raises(SetupError, match=r"cannot listen on 192\.0\.2\.1"):
        bound_socket(Settings(host="192.0.2.1", port=0))
    with pytest.raises(SetupError, match="cannot listen"):
        bound_socket(Settings(host="no such name", port=0))


def test_address_is_one_a_browser_opens() -> None:
    assert address_of("0.0.0.0", 80) == "http://127.0.0.1:80/"
    assert address_of("::1", 7860) == "http://[::1]:7860/"
    assert address_of("example.test", 7860) == "http://example.test:7860/"
