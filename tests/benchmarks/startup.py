"""From the start of the process to the first answer of the page, against `import gradio` alone."""

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from modules.settings import ROOT
from tests.benchmarks._table import Row, show

ROUNDS = 5
MOST = 2.0
PATIENCE = 120.0  # seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def first_answer(folder: Path) -> float:
    """Seconds from starting `webui.py` until the page answers 200."""
    port = free_port()
    command = [sys.executable, str(ROOT / "webui.py"), "--port", str(port), "--data-dir", str(folder)]
    begun = time.perf_counter()
    with subprocess.Popen(
        [*command, "--models-dir", str(ROOT / "models")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while time.perf_counter() - begun < PATIENCE:
                with (
                    contextlib.suppress(urllib.error.URLError, ConnectionError),
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer,
                ):
                    if answer.status == 200:
                        return time.perf_counter() - begun
                time.sleep(0.01)
            raise TimeoutError(f"no answer within {PATIENCE} s")
        finally:
            process.terminate()


def bare_import() -> float:
    """Seconds that a process takes which only imports Gradio."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gradio"], check=True)
    return time.perf_counter() - begun


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        first_answer(Path(folder)), bare_import()  # reads the files once, and makes the database
        pairs = [(first_answer(Path(folder)), bare_import()) for _ in range(ROUNDS)]
    ours, other = (statistics.median(each) for each in zip(*pairs, strict=True))
    rows = [Row(f"page, median of {ROUNDS}", ours, other, MOST)]
    show("First answer of the page ÷ `import gradio`", rows, "s", ("first answer", "import gradio"))


if __name__ == "__main__":
    main()
