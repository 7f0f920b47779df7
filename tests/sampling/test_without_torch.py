"""The web process lists samplers, schedules and tokens; it may not import torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modules.plugins import folder_modules

LISTED = [name for name in folder_modules("modules.sampling") if not name.endswith(".noise")]
WORDS = folder_modules("modules.prompts")


@pytest.mark.parametrize("names", [LISTED, WORDS], ids=["sampling", "prompts"])
def test_the_room_is_imported_without_torch(names: list[str]) -> None:
    program = f"import importlib, sys; [importlib.import_module(name) for name in {names!r}]; "
    program += "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 0
