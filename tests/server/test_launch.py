"""The engine as a worker process has it."""

import gc
from pathlib import Path

from modules.server.launch import make_engine
from modules.settings import Settings


def test_garbage_is_not_looked_for_in_what_stays(tmp_path: Path) -> None:
    engine = make_engine(Settings(data_dir=tmp_path))
    assert gc.get_freeze_count() > 0
    assert not any(each is engine or each is Settings for each in gc.get_objects())
