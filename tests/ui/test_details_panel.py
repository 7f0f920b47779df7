"""The dialog about one model file as HTML."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from modules.model_manager.model_file import Details, ModelFile
from modules.ui.details_panel import dialog, size_of
from modules.words import load_words

EN = load_words("en")
WASH = ModelFile("wash", Path("/m/Lora/wash.safetensors"), "lora", "sd1", "abcdef0123", size=151_000_000, modified=1e9)
TRAINED = {
    "ss_sd_model_name": "v1-5-pruned",
    "ss_training_started_at": "1690000000.5",
    "ss_bucket_info": json.dumps(
        {"buckets": {str(n): {"resolution": [512, 512 + 64 * n], "count": 10 - n} for n in range(6)}}
    ),
    "ss_dataset_dirs": json.dumps({"10_a": {"img_count": 40}, "5_b": {"img_count": 2}}),
}


def shown(file: ModelFile = WASH, details: Details | None = None, problem: str = "") -> str:
    return dialog(file, details or Details(), ["bright.safetensors"], None, EN, problem)


def test_it_tells_the_file_and_what_its_trainer_wrote() -> None:
    html = shown(details=Details(metadata=TRAINED))
    for said in ("/m/Lora/wash.safetensors", "SD1", "151 MB", "abcdef0123", "v1-5-pruned", "2023-07-22", ">42<"):
        assert said in html
    assert "512x512, 512x576, 512x640, 512x704<" in html, "the four most frequent"
    assert "Metadata (4)" in html


@pytest.mark.parametrize("broken", ["{", "[]", '{"buckets": [1]}', '{"buckets": {"0": 5}}', "9" * 400, '{"a": {}}'])
def test_metadata_of_another_shape_is_no_reason_to_fail(broken: str) -> None:
    names = ("ss_bucket_info", "ss_dataset_dirs", "ss_training_started_at", "ss_clip_skip")
    assert "wash" in shown(details=Details(metadata=dict.fromkeys(names, broken)))


def test_each_kind_has_its_own_fields() -> None:
    lora, checkpoint, word = (shown(replace(WASH, kind=kind)) for kind in ("lora", "checkpoint", "embedding"))
    for name in ("trigger_words", "negative_text", "preferred_weight", "sd_version"):
        assert f'name="{name}"' in lora and f'name="{name}"' not in checkpoint + word
    assert 'name="vae"' in checkpoint and "bright.safetensors" in checkpoint and 'name="vae"' not in lora + word
    assert all('name="notes"' in each and 'name="description"' in each for each in (lora, checkpoint, word))


def test_the_words_it_was_trained_on_can_be_taken_over() -> None:
    tags = [(f"word {n}", 100 - n) for n in range(40)]
    html = shown(details=Details(tags=tags))
    assert html.count("data-word=") == 24 and 'data-word="word 0"' in html and "word 39" not in html


def test_what_is_wrong_with_it_stands_on_top_and_all_of_it_is_text() -> None:
    evil = "</textarea><script>1</script>"
    html = shown(details=Details({evil: evil}, evil, evil, evil, evil, tags=[(evil, 1)]), problem=evil)
    assert 'role="alert"' in html and "<script" not in html and html.count("</textarea>") == 4
    broken = replace(WASH, problem="unreadable", problem_values={"file": "wash.safetensors", "reason": "cut off"})
    assert "cut off" in shown(broken)


def test_two_openings_differ_so_that_the_page_opens_it_again() -> None:
    assert shown() != shown()


def test_sizes_are_said_shortly() -> None:
    assert [size_of(size) for size in (0, 999, 1000, 151_000_000, 2_132_625_894)] == [
        "",
        "999 B",
        "1.0 kB",
        "151 MB",
        "2.1 GB",
    ]
