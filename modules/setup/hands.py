"""The hands of the set-up: run pip, show what it is at, keep to one set-up at a time, read why it failed."""

import contextlib
import importlib
import os
import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TextIO

Heard = Callable[[str], None]
Runner = Callable[[Sequence[str], Heard, Sequence[int]], int]
"""Runs a command, hands each line of its output to `Heard` ("" when there was none for a second), keeps the file
handles open in it, and returns its exit code."""


def run_command(command: Sequence[str], heard: Heard, handles: Sequence[int]) -> int:
    """Run a command for real; see `Runner`."""
    kept = tuple(handles) if os.name == "posix" else ()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", pass_fds=kept
    ) as process:
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        while True:
            try:
                line = lines.get(timeout=1)
            except queue.Empty:
                line = ""
            if line is None:
                break
            heard(line)
    return process.returncode


def _read(stream: IO[str] | None, lines: "queue.SimpleQueue[str | None]") -> None:
    for line in stream or ():
        lines.put(line.rstrip("\n"))
    lines.put(None)


class Console:
    """Says the steps of the set-up, and below them what is being done just now and for how long.

    On a terminal that line is rewritten in place; elsewhere one is printed every `pause` seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic, pause: float = 10.0) -> None:
        self._stream, self._clock, self._pause = stream, clock, pause
        self._begun = self._shown = clock()
        self._in_place = stream.isatty()
        self._open = False  # an unfinished status line stands on the terminal

    @property
    def seconds(self) -> int:
        """Whole seconds since the console was made."""
        return int(self._clock() - self._begun)

    def say(self, sentence: str) -> None:
        """Print a sentence on a line of its own."""
        self._stream.write(("\r\x1b[K" if self._open else "") + sentence + "\n")
        self._stream.flush()
        self._open = False

    def doing(self, what: str) -> None:
        """Show what is being done just now."""
        now = self._clock()
        status = f"      {self.seconds} s  {what}"
        if self._in_place:
            self._stream.write("\r\x1b[K" + status[:78])
            self._open = True
        elif now - self._shown >= self._pause:
            self._stream.write(status[:100] + "\n")
            self._shown = now
        self._stream.flush()


@contextlib.contextmanager
def locked(file: Path, waiting: Callable[[], None]) -> Iterator[Sequence[int]]:
    """Hold `file` so that only one set-up is at work; call `waiting` once when another one is.

    Gives the handles to keep open in child processes: a pip that outlives a killed set-up still holds the lock. Where
    the system has no such locks nothing is held.
    """
    if os.name != "posix":
        yield ()
        return
    fcntl = importlib.import_module("fcntl")
    with file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield (handle.fileno(),)


def activity(line: str) -> str:
    """Return what a line of pip's output says it is doing, or nothing."""
    doing = re.match(r"\s*((?:Collecting|Downloading|Using cached|Installing|Building|Preparing|Getting)\b.*)", line)
    return doing[1].strip() if doing else ""


def to_install(line: str) -> int:
    """Return how many packages pip says it begins to install in this line, 0 in any other."""
    _, begun, packages = line.partition("Installing collected packages: ")
    return len(packages.split(",")) if begun else 0


def out_of_space(log: str) -> bool:
    """Tell whether an installation failed because the disk is full."""
    return bool(re.search(r"No space left on device|Errno 28\b|Disk quota exceeded|Errno 122\b|WinError 112\b", log))


def offline(log: str) -> bool:
    """Tell whether an installation failed because the package registry could not be reached."""
    signs = (
        "NewConnectionError",
        "Failed to establish a new connection",
        "Temporary failure in name resolution",
        "Name or service not known",
        "nodename nor servname provided",
        "Network is unreachable",
        "Connection refused",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "Read timed out",
        "ConnectionResetError",
        "RemoteDisconnected",
        "ProxyError",
        "SSLError",
        "Max retries exceeded",
        "(from versions: none)",  # all that pip says when it was told not to try again
    )
    return any(sign in log for sign in signs)
