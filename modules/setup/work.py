"""The work of the set-up: make the environment or mend it, and say plainly what keeps that from working."""

import errno
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.errors import SetupError
from modules.setup.environment import Environment
from modules.setup.hands import Console, Runner, activity, locked, offline, out_of_space, run_command, to_install
from modules.setup.requirements import Project, meets
from modules.words import Words

NEEDED = 9 * 10**9  # bytes: 6.5 GB installed and the downloads, which lie beside it for a while


def _free(folder: Path) -> int:
    """Return the bytes free on the disk of `folder`."""
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class SetUp:
    """One set-up: where, for what, with which hands."""

    root: Path
    project: Project
    words: Words
    console: Console
    run: Runner = run_command
    free: Callable[[Path], int] = _free

    @property
    def log(self) -> Path:
        """The file that keeps everything pip said."""
        return self.root / ".easel" / "setup.log"

    def make(self, environment: Environment, extras: Sequence[str]) -> None:
        """Make or mend `environment`; raise `SetupError` with what to do when that cannot work."""
        self.log.parent.mkdir(exist_ok=True)
        with locked(self.log.with_suffix(".lock"), lambda: self._say("waiting")) as handles:
            if environment.complete(self.project, extras):
                return  # another set-up, for which this one waited, has done it
            begun = environment.folder.exists()
            self._say("mending" if begun else "begin", folder=environment.folder, log=self.log)
            self._check_disk(begun)
            kept = [each for each in environment.stamped() if each in self.project.requirements]
            environment.stamp.unlink(missing_ok=True)
            self.log.write_bytes(b"")
            self._make_folder(environment, handles)
            wanted = list(dict.fromkeys([*extras, *kept]))
            self._install(environment, wanted, handles)
            environment.write_stamp(self.project, wanted)
            self._say("ready", seconds=self.console.seconds)

    def _say(self, key: str, **values: object) -> None:
        self.console.say(self.words.say(f"setup.{key}", **values))

    def _check_disk(self, begun: bool) -> None:
        free = self.free(self.root)
        if free < NEEDED and not begun:
            numbers = {"free": f"{free / 1e9:.1f}", "needed": f"{NEEDED / 1e9:.0f}"}
            raise SetupError("setup_space", folder=self.root, **numbers)

    def _make_folder(self, environment: Environment, handles: Sequence[int]) -> None:
        """Make the environment's folder, unless a Python of the right version with a working pip is in it."""
        probe = "import sys, pip; print('python', sys.version.split()[0])"
        if environment.python.exists():
            heard: list[str] = []
            code = self.run([str(environment.python), "-c", probe], lambda line: heard.append(line), handles)
            found = next((line.split()[1] for line in heard if line.startswith("python ")), "")
            if code == 0 and meets(found, self.project.python):
                return
        self._say("step_environment")
        base = str(getattr(sys, "_base_executable", sys.executable))  # not one inside the folder that is cleared
        command = [base, "-m", "venv", "--clear", str(environment.folder)]
        self._run(command, "setup_environment", handles)

    def _install(self, environment: Environment, extras: Sequence[str], handles: Sequence[int]) -> None:
        for record in environment.torn():
            shutil.rmtree(record)
        self._say("step_install", count=sum(len(self.project.requirements[each]) for each in extras), log=self.log)
        named = ",".join(each for each in extras if each)
        target = f"{self.root}[{named}]" if named else str(self.root)
        options = ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]
        command = [str(environment.python), "-m", "pip", "install", *options, "-e", target]
        self._run(command, "setup_install", handles, lambda: len(environment.records()))

    def _run(
        self, command: Sequence[str], key: str, handles: Sequence[int], count: Callable[[], int] = lambda: 0
    ) -> None:
        """Run a command, keep what it says in the log, show what it is at; raise `SetupError` when it fails.

        `count` tells how many packages are installed: pip says nothing while it copies the largest part.
        """
        doing, before, coming = "", 0, 0
        with self.log.open("a", encoding="utf-8") as log:

            def hear(line: str) -> None:
                nonlocal doing, before, coming
                if line:
                    log.write(line + "\n")
                    log.flush()
                if packages := to_install(line):
                    before, coming = count(), packages
                doing = activity(line) or doing
                if coming:
                    doing = self.words.say("setup.installing", done=min(count() - before, coming), count=coming)
                self.console.doing(doing)

            code = self.run(command, hear, handles)
        if code == 0:
            return
        text = self.log.read_text(encoding="utf-8", errors="replace")
        if out_of_space(text):
            raise SetupError("setup_disk_full", folder=self.root, log=self.log)
        if offline(text):
            raise SetupError("setup_offline", log=self.log)
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
        raise SetupError(key, log=self.log, last=last.strip()[:300])


def set_up(work: SetUp, environment: Environment, extras: Sequence[str]) -> int:
    """Do the work and say what went wrong with it, if anything; return the exit code."""
    try:
        work.make(environment, extras)
    except SetupError as error:
        work.console.say(error.say(work.words))
        return 1
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        problem = SetupError("setup_disk_full" if full else "setup_write", folder=work.root, log=work.log, reason=error)
        work.console.say(problem.say(work.words))
        return 1
    except KeyboardInterrupt:
        work.console.say(work.words.say("setup.interrupted"))
        return 130
    return 0
