"""The set-up: its decisions with a fake runner, and the real thing where the registry cannot be reached."""

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import webui
from modules.errors import SetupError
from modules.setup.entry import spoken
from modules.setup.environment import Environment
from modules.setup.hands import Console
from modules.setup.requirements import Project, installed_here, meets, read_project
from modules.setup.work import SetUp, set_up
from modules.words import load_words
from tests.floors import ROOT

PROJECT = Project(">=3.11,<3.14", {"": ("alpha>=1.2,<2", "beta[x]"), "test": ("gamma==1.*",), "more": ("delta>=3",)})


class Hands:
    """A runner that makes what venv and pip would make, and fails or stops where it is told to."""

    def __init__(self, fail: str = "", says: Sequence[str] = (), python: str = "3.11.7") -> None:
        self.commands: list[list[str]] = []
        self.fail, self.says, self.python = fail, says, python

    def __call__(self, command: Sequence[str], heard: Callable[[str], None], handles: Sequence[int]) -> int:
        self.commands.append(list(command))
        kind = "probe" if "-c" in command else "venv" if "venv" in command else "pip"
        if kind == "venv":
            shutil.rmtree(command[-1], ignore_errors=True)
            python = Environment(Path(command[-1])).python
            python.parent.mkdir(parents=True)
            python.touch()
        if kind == "probe":
            heard(f"python {self.python}")
        for line in self.says:
            heard(line)
        if self.fail == f"interrupt {kind}":
            raise KeyboardInterrupt
        return int(self.fail == kind)

    @property
    def kinds(self) -> list[str]:
        return ["probe" if "-c" in each else "venv" if "venv" in each else "pip" for each in self.commands]


def working(root: Path, hands: Hands, free: int = 10**12) -> SetUp:
    return SetUp(root, PROJECT, load_words(), Console(io.StringIO()), hands, lambda folder: free)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / ".venv")


def test_versions_are_compared_by_release_number() -> None:
    assert meets("1.10.0", ">=1.9") and meets("2.10.0+cu128", "==2.10.*") and meets("5.0rc1", ">=5,<6")
    assert meets("3", "==3.0") and meets("1.5", "!=1.4") and meets("1.5", ">1.4") and meets("1.4", "<=1.4")
    assert not meets("1.9", ">=1.10") and not meets("2", ">=1.2,<2") and not meets("2.11", "==2.10.*")
    with pytest.raises(ValueError, match="not a version condition"):
        meets("1", "~=1.0")


def test_satisfied_asks_every_requirement() -> None:
    there = {"alpha": "1.3", "beta": "0.1"}
    assert PROJECT.satisfied([""], there.get)
    assert not PROJECT.satisfied(["", "test"], there.get)
    assert not PROJECT.satisfied([""], {"alpha": "2.0", "beta": "1"}.get)


def test_the_real_project_can_be_read() -> None:
    project = read_project(ROOT / "pyproject.toml")
    assert {"", "test"} <= set(project.requirements)
    assert not project.satisfied(project.requirements, lambda name: None)
    assert project.python == ">=" + ".".join(map(str, webui.OLDEST)) + ",<" + ".".join(map(str, webui.LIMIT))
    assert project.satisfied(["", "test"], installed_here)


def test_fresh_set_up_makes_the_folder_installs_and_stamps(tmp_path: Path, environment: Environment) -> None:
    hands = Hands()
    working(tmp_path, hands).make(environment, [""])
    assert hands.kinds == ["venv", "pip"]
    assert hands.commands[-1][-1] == str(tmp_path)
    assert environment.complete(PROJECT, [""]) and not environment.complete(PROJECT, ["", "test"])


def test_second_set_up_has_nothing_to_do(tmp_path: Path, environment: Environment) -> None:
    working(tmp_path, Hands()).make(environment, [""])
    again = Hands()
    working(tmp_path, again).make(environment, [""])
    assert again.commands == []


def test_test_extra_is_added_and_kept(tmp_path: Path, environment: Environment) -> None:
    hands = Hands()
    working(tmp_path, hands).make(environment, ["", "test"])
    assert hands.commands[-1][-1] == f"{tmp_path}[test]"
    changed = Project(PROJECT.python, {**PROJECT.requirements, "": ("alpha>=2",)})
    assert not environment.complete(changed, [""])
    SetUp(tmp_path, changed, load_words(), Console(io.StringIO()), hands, lambda folder: 0).make(environment, [""])
    assert hands.kinds[-2:] == ["probe", "pip"]
    assert environment.complete(changed, ["", "test"])


@pytest.mark.parametrize("where", ["interrupt venv", "interrupt pip"])
def test_interrupted_set_up_goes_on(tmp_path: Path, environment: Environment, where: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        working(tmp_path, Hands(where)).make(environment, [""])
    assert not environment.complete(PROJECT, [""])
    hands = Hands()
    working(tmp_path, hands, free=0).make(environment, [""])  # what is there already needs no second 9 GB
    assert hands.kinds == ["probe", "pip"]
    assert environment.complete(PROJECT, [""])


def test_folder_without_a_working_pip_is_made_anew(tmp_path: Path, environment: Environment) -> None:
    environment.python.parent.mkdir(parents=True)
    environment.python.touch()
    hands = Hands("probe")
    working(tmp_path, hands).make(environment, [""])
    assert hands.kinds == ["probe", "venv", "pip"]


def test_folder_of_another_python_is_made_anew(tmp_path: Path, environment: Environment) -> None:
    working(tmp_path, Hands()).make(environment, [""])
    environment.stamp.unlink()
    hands = Hands(python="3.9.1")
    working(tmp_path, hands).make(environment, [""])
    assert hands.kinds == ["probe", "venv", "pip"]


def test_vanished_interpreter_is_no_complete_environment(tmp_path: Path, environment: Environment) -> None:
    working(tmp_path, Hands()).make(environment, [""])
    environment.python.unlink()
    assert not environment.complete(PROJECT, [""])


@pytest.mark.parametrize("text", ["", "not json", "[]", "null"])
def test_broken_stamp_counts_as_none(environment: Environment, text: str) -> None:
    environment.folder.mkdir()
    environment.stamp.write_text(text, encoding="utf-8")
    assert environment.stamped() == {}


def test_half_installed_package_is_installed_again(tmp_path: Path, environment: Environment) -> None:
    with pytest.raises(KeyboardInterrupt):
        working(tmp_path, Hands("interrupt pip")).make(environment, [""])
    packages = environment.folder / "lib" / "python3.11" / "site-packages"
    whole, torn = packages / "alpha-1.2.dist-info", packages / "beta-1.dist-info"
    for each in (whole, torn):
        each.mkdir(parents=True)
        (each / "METADATA").touch()
    (whole / "INSTALLER").touch()
    working(tmp_path, Hands()).make(environment, [""])
    assert whole.exists() and not torn.exists()


def test_long_silence_shows_how_far_it_is(tmp_path: Path, environment: Environment) -> None:
    stream = io.StringIO()
    packages = environment.folder / "lib" / "python3.11" / "site-packages"

    class Slow(Hands):
        def __call__(self, command: Sequence[str], heard: Callable[[str], None], handles: Sequence[int]) -> int:
            if "pip" in command:
                (packages / "setuptools.dist-info").mkdir(parents=True)
                heard("Installing collected packages: alpha, beta")
                (packages / "alpha.dist-info").mkdir()
                heard("")
            return super().__call__(command, heard, handles)

    times = iter(range(0, 1000, 20))
    console = Console(stream, lambda: next(times))
    SetUp(tmp_path, PROJECT, load_words(), console, Slow(), lambda folder: 10**12).make(environment, [""])
    assert "Installed 0 of 2" in stream.getvalue() and "Installed 1 of 2" in stream.getvalue()


@pytest.mark.parametrize(
    ("hands", "free", "key"),
    [
        (Hands(), 10**9, "setup_space"),
        (Hands("pip", ["ERROR: Could not install: [Errno 28] No space left on device"]), 10**12, "setup_disk_full"),
        (Hands("pip", ["WARNING: Retrying: NewConnectionError('...')", "ERROR: none"]), 10**12, "setup_offline"),
        (Hands("pip", ["ERROR: something else"]), 10**12, "setup_install"),
        (Hands("venv", ["ensurepip is not available"]), 10**12, "setup_environment"),
    ],
)
def test_failures_say_what_to_do(tmp_path: Path, environment: Environment, hands: Hands, free: int, key: str) -> None:
    work = working(tmp_path, hands, free)
    with pytest.raises(SetupError) as caught:
        work.make(environment, [""])
    assert caught.value.key == key
    for language in ("en", "ko"):
        sentence = caught.value.say(load_words(language))
        assert sentence != f"errors.{key}" and not re.search(r"\{\w+\}", sentence)
    assert key == "setup_space" or str(work.log) in str(caught.value)
    assert key != "setup_install" or "something else" in str(caught.value)
    assert not environment.complete(PROJECT, [""])


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "The disk became full"), (errno.EACCES, "cannot write into"), (0, "cannot write")],
)
def test_trouble_with_files_is_a_sentence(tmp_path: Path, environment: Environment, number: int, said: str) -> None:
    def failing(command: Sequence[str], heard: Callable[[str], None], handles: Sequence[int]) -> int:
        raise OSError(number, os.strerror(number))

    stream = io.StringIO()
    work = SetUp(tmp_path, PROJECT, load_words(), Console(stream), failing, lambda folder: 10**12)
    assert set_up(work, environment, [""]) == 1
    assert said in stream.getvalue()


def test_interruption_is_a_sentence(tmp_path: Path, environment: Environment) -> None:
    stream = io.StringIO()
    work = SetUp(tmp_path, PROJECT, load_words(), Console(stream), Hands("interrupt pip"), lambda folder: 10**12)
    assert set_up(work, environment, [""]) == 130
    assert "goes on from here" in stream.getvalue()


def test_language_follows_the_locale() -> None:
    assert spoken({"LANG": "ko_KR.UTF-8"}) == "ko"
    assert spoken({"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}) == "en"
    assert spoken({}) == "en"


@pytest.mark.parametrize("language", ["en", "ko"])
def test_other_pythons_are_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("LC_ALL", language)
    for version in ((3, 10, 4), (3, 14, 0)):
        monkeypatch.setattr(sys, "version_info", version)
        problem = webui.too_old_or_new()
        assert "3.11" in problem and f"{version[0]}.{version[1]}" in problem and "{" not in problem
    monkeypatch.setattr(sys, "version_info", (3, 11, 0))
    assert webui.too_old_or_new() == ""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Make a copy of the entry, of a project that asks for a package nobody has."""
    (tmp_path / "modules").mkdir()
    for name in ("__init__", "words", "errors"):
        shutil.copy(ROOT / "modules" / f"{name}.py", tmp_path / "modules")
    for name in ("setup", "locale"):
        shutil.copytree(ROOT / "modules" / name, tmp_path / "modules" / name)
    shutil.copy(ROOT / "webui.py", tmp_path)
    about = '[project]\nname = "bare"\nversion = "1"\nrequires-python = ">=3.11"\n'
    (tmp_path / "pyproject.toml").write_text(about + 'dependencies = ["easel-needs-this-and-nobody-has-it"]\n')
    return tmp_path


def enter(root: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    """Run the entry on the Python that this one was made from, with a registry that does not answer."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "LC_", "LANG"))}
    silent = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    return subprocess.run(
        [str(getattr(sys, "_base_executable", sys.executable)), "webui.py", *argv],
        cwd=root,
        env=kept | silent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_unreachable_registry_for_real(bare: Path) -> None:
    first = enter(bare)
    assert first.returncode == 1
    assert "registry cannot be reached, or" in first.stderr and "setup.log" in first.stderr
    assert "Traceback" not in first.stderr
    assert "127.0.0.1" in (bare / ".easel" / "setup.log").read_text("utf-8")
    second = enter(bare, "test")  # the half-made environment is recognised
    assert second.returncode == 1
    assert "Going on with the set-up" in second.stderr and "[1/2]" not in second.stderr


def test_complete_environment_is_entered_without_the_network(bare: Path) -> None:
    environment = Environment(bare / ".venv")
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text('#!/bin/sh\necho entered "$@"\nexit 7\n')
    environment.python.chmod(0o755)
    environment.write_stamp(read_project(bare / "pyproject.toml"), [""])
    ran = enter(bare, "--port", "1")
    assert (ran.returncode, ran.stderr) == (7, "")
    assert ran.stdout.split()[0] == "entered" and ran.stdout.split()[-3:] == [str(bare / "webui.py"), "--port", "1"]
    assert json.loads(environment.stamp.read_text())
