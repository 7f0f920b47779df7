"""From `webui.py` into the environment: at once when it is complete, after the set-up when it is not."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from modules.setup.environment import Environment
from modules.setup.hands import Console
from modules.setup.requirements import installed_here, read_project
from modules.setup.work import SetUp, set_up
from modules.words import load_words


def spoken(environment: Mapping[str, str]) -> str:
    """Choose a language of ours by the locale variables of POSIX, in their order of precedence."""
    locale = environment.get("LC_ALL") or environment.get("LC_MESSAGES") or environment.get("LANG") or ""
    return "ko" if locale.startswith("ko") else "en"


def enter(root: str, argv: Sequence[str], stream: TextIO) -> int | None:
    """See to the environment, and go on in it: return an exit code, or None to go on in the Python at work.

    `test [pytest's arguments]` runs the test suite instead of Easel. `stream` is where the set-up says what it does.
    """
    testing = list(argv[:1]) == ["test"]
    if not testing and {"-h", "--help"} & set(argv):
        return None  # help needs nothing installed
    home, extras = Path(root), ("", "test") if testing else ("",)
    environment, project = Environment(home / ".venv"), read_project(home / "pyproject.toml")
    complete = environment.complete(project, extras)
    whole = complete or not environment.is_here or not environment.torn()
    here = whole and project.satisfied(extras, installed_here)
    if not here and not complete:
        code = set_up(SetUp(home, project, load_words(spoken(os.environ)), Console(stream)), environment, extras)
        if code:
            return code
    python = sys.executable if here else str(environment.python)
    if testing:
        os.chdir(home)
        return _become([python, "-m", "pytest", *argv[1:]])
    return None if here else _become([python, str(home / "webui.py"), *argv])


def _become(command: Sequence[str]) -> int:
    """Replace this process by `command`; where the system cannot do that, run it and return its exit code.

    Idle threads of OpenMP are to sleep instead of spinning: several processes share the cores.
    """
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ
    if os.name == "posix":
        sys.stdout.flush()
        os.execve(command[0], list(command), environment)
    return subprocess.run(command, env=environment, check=False).returncode
