from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from modules.cli import main
from tests.fake_models import checkpoints, make_sd1


@dataclass(frozen=True)
class Ran:
    """What a command ended with and said."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one tiny model in its `models`."""
    folder = tmp_path_factory.mktemp("models-of-the-command-line")
    make_sd1(checkpoints(folder) / "tiny", seed=1)
    return folder


@pytest.fixture
def run(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command on a fresh data folder (the test's `tmp_path`) that has the tiny model."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def command(*argv: str) -> Ran:
        code = main([*argv, "--data-dir", str(tmp_path), "--models-dir", str(root / "models")])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return command
