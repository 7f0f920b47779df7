from pathlib import Path

import pytest

from modules.engine.engine import Engine
from tests.fake_models import checkpoints, engine_on, make_sd1


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two tiny models, "one" and "two"."""
    folder = tmp_path_factory.mktemp("data")
    make_sd1(checkpoints(folder) / "one", seed=1)
    make_sd1(checkpoints(folder) / "two", seed=2)
    return folder


@pytest.fixture(scope="session")
def engine(root: Path) -> Engine:
    """An engine without extensions; what it keeps between tests must not matter to any."""
    return engine_on(root)
