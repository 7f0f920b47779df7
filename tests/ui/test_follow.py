"""What a form takes over from a checkpoint."""

from pathlib import Path
from typing import Any

from modules.families.family import Defaults
from modules.model_manager.model_file import ModelFile
from modules.ui.follow import taken_over

PLAIN = ModelFile("plain", Path("plain"), native_size=512)
LARGE = ModelFile("large", Path("large"), native_size=1024)
TURBO = ModelFile("turbo", Path("turbo"), native_size=512, defaults=Defaults(512, 1, 1.0, "Euler"))
FILES = (PLAIN, LARGE, TURBO)
USUAL = {"width": 512, "height": 512, "steps": 20, "cfg_scale": 7, "sampler": "DPM++ 2M", "schedule": "Automatic"}


def after(file: ModelFile, **values: Any) -> dict[str, Any]:
    """What is different from the form after `file` was chosen on it."""
    form = USUAL | values
    return {name: value for name, value in taken_over(file, FILES, form).items() if value != form[name]}


def test_the_size_follows_unless_it_was_set_by_hand() -> None:
    assert after(LARGE) == {"width": 1024, "height": 1024}
    assert after(LARGE, width=768) == {}
    assert after(LARGE, width=640, height=640) == {}


def test_a_turbo_checkpoint_brings_its_own_values_whatever_is_there() -> None:
    brought = {"steps": 1, "cfg_scale": 1.0, "sampler": "Euler"}
    assert after(TURBO) == brought
    assert after(TURBO, steps=50, schedule="Karras") == brought


def test_another_checkpoint_gives_the_usual_values_back_but_none_that_was_set_by_hand() -> None:
    assert after(PLAIN, steps=1, cfg_scale=1, sampler="Euler") == {"steps": 20, "cfg_scale": 7.0, "sampler": "DPM++ 2M"}
    assert after(PLAIN, steps=2, cfg_scale=1, sampler="Euler") == {}
    assert after(PLAIN, steps=30, cfg_scale=5.5) == {}
