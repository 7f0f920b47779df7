"""What each part of a pattern says, and that no prompt can say more than the name of a file."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.images.names import LONGEST_NAME, PARTS, Circumstances, circumstances, clean, filled, filled_folder
from modules.request import Hires, InitImage
from modules.result import UsedHires
from tests.fakes import ask
from tests.images.test_infotext import changed

IMAGE = Image.new("RGB", (16, 24), "red")
RECIPE = changed(
    prompt="A red cat, sitting: on <a> mat",
    negative_prompt="blur",
    seed=1234,
    steps=20,
    cfg_scale=7.5,
    sampler="DPM++ 2M",
    schedule="Karras",
    model="sub/my.model.safetensors",
    model_hash="0123456789",
    clip_skip=2,
    vae="vae/good.pt",
    index=3,
)
NOW = datetime(2026, 5, 9, 14, 3, 7, tzinfo=UTC)
AT = Circumstances(
    batch_size=2,
    batch_count=3,
    first_seed=1231,
    last_seed=1236,
    styles=(("Photo", "photo of {prompt}, sharp"), ("Mat", "sitting: on <a> mat")),
    begun=datetime(2026, 5, 9, 13, 0, 0),
    user="ada",
)


def hexed(data: str | bytes, digits: int = 8) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:digits]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[seed]", "1234"),
        ("[SEED]", "1234"),
        ("[seed_first]", "1231"),
        ("[seed_last]", "1236"),
        ("[steps]", "20"),
        ("[cfg]", "7.5"),
        ("[width]x[height]", "16x24"),
        ("[styles]", "Photo, Mat"),
        ("[sampler]", "DPM++ 2M"),
        ("[sampler_scheduler]", "DPM++ 2M Karras"),
        ("[scheduler]", "Karras"),
        ("[model_hash]", "0123456789"),
        ("[model_name]", "my.model"),
        ("[date]", "2026-05-09"),
        ("[datetime]", "20260509140307"),
        ("[datetime<%Y_%m>]", "2026_05"),
        ("[datetime<%H.%M><Asia/Seoul>]", "23.03"),
        ("[datetime<%H:%M><Asia/Seoul>]", "23_03"),
        ("[job_timestamp]", "20260509130000"),
        ("[prompt_hash]", hexed(RECIPE.prompt)),
        ("[prompt_hash<12>]", hexed(RECIPE.prompt, 12)),
        ("[prompt_hash<x>]", hexed(RECIPE.prompt)),
        ("[negative_prompt_hash]", hexed("blur")),
        ("[full_prompt_hash]", hexed(f"{RECIPE.prompt} blur")),
        ("[prompt]", "A_red_cat,_sitting__on__a__mat"),
        ("[prompt_no_styles]", "A red cat"),
        ("[prompt_spaces]", "A red cat, sitting_ on _a_ mat"),
        ("[prompt_words]", "A red cat sitting on a mat"),
        ("[batch_number]", "2"),
        ("[batch_size]", "2"),
        ("[generation_number]", "4"),
        ("[hasprompt<cat|no cat><dog|no dog>]", "catno dog"),
        ("[hasprompt<CAT>]", "CAT"),
        ("[hasprompt<dog>]", ""),
        ("[clip_skip]", "2"),
        ("a-[denoising]-b", "-b"),
        ("[user]", "ada"),
        ("[vae_filename]", "good"),
        ("[none]", ""),
        ("[image_hash]", hexed(IMAGE.tobytes(), 64)),
        ("[image_hash<6>]", hexed(IMAGE.tobytes(), 6)),
        ("[basename]", "img"),
        ("[nothing like that]-[seed]", "[nothing like that]-1234"),
        ("no brackets", "no brackets"),
        ("a/b\\c", "a_b_c"),
        ("[[seed]]", "[1234]"),
        ("[seed", "[seed"),
    ],
)
def test_each_part(pattern: str, name: str) -> None:
    assert filled(pattern, IMAGE, RECIPE, AT, NOW) == name


def test_every_part_has_a_row_above() -> None:
    rows = " ".join(mark.args[1][place][0] for mark in test_each_part.pytestmark for place in range(len(mark.args[1])))  # type: ignore[attr-defined]
    assert [each for each in PARTS if f"[{each}]" not in rows and f"[{each}<" not in rows] == []


def test_what_does_not_apply_takes_the_text_before_it_along() -> None:
    single = Circumstances()
    for skipped in ("seed_last", "batch_number", "generation_number", "denoising"):
        assert filled(f"[steps]-n[{skipped}]-[seed]", IMAGE, RECIPE, single, NOW) == "20-1234"


def test_strength_is_of_what_was_painted_over_or_of_the_second_pass() -> None:
    init = changed(init=InitImage.model_validate({"image": "0" * 64, "denoising_strength": 0.4}))
    hires = changed(hires=UsedHires(asked=Hires.model_validate({"denoising_strength": 0.55}), width=32, height=32))
    assert filled("[denoising]", IMAGE, init, AT) == "0.4"
    assert filled("[denoising]", IMAGE, hires, AT) == "0.55"


def test_empty_prompts_and_files_of_their_own() -> None:
    bare = changed(prompt="", vae="")
    assert filled("[prompt_words]", IMAGE, bare, AT) == "empty"
    assert filled("[vae_filename]", IMAGE, bare, AT) == "NoneType"
    assert filled("[styles]", IMAGE, bare, Circumstances()) == "None"


def test_words_are_as_many_as_are_wanted() -> None:
    assert filled("[prompt_words]", IMAGE, RECIPE, Circumstances(max_words=3)) == "A red cat"


@pytest.mark.parametrize(
    "pattern", ["[datetime<%>]", "[datetime<%Q%>]", "[datetime<><Moon/Sea>]", "[datetime<><../../etc>]"]
)
def test_a_moment_that_cannot_be_written_so_is_written_as_usual(pattern: str) -> None:
    assert filled(pattern, IMAGE, RECIPE, AT, NOW).strip("%Q") in ("20260509140307", "")


def test_the_job_is_told_by_its_request() -> None:
    at = circumstances(ask("a", seed=7, batch_count=2, batch_size=3), [("Photo", "x")])
    assert (at.batch_count, at.batch_size, at.first_seed, at.last_seed) == (2, 3, 7, 12)
    assert at.styles == [("Photo", "x")] and at.begun is not None


def test_a_slash_in_a_folder_pattern_begins_a_folder() -> None:
    assert filled_folder("[date]/[model_name]/[seed]", IMAGE, RECIPE, AT, NOW) == ("2026-05-09", "my.model", "1234")
    assert filled_folder("[datetime<%Y/%m>]", IMAGE, RECIPE, AT, NOW) == ("2026_05",)
    assert filled_folder("/../[date]/./", IMAGE, RECIPE, AT, NOW) == ("2026-05-09",)
    assert filled_folder("[none]", IMAGE, RECIPE, AT, NOW) == ()


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("../../etc/passwd", ".._.._etc_passwd".replace("..", "_.", 1)),
        ("..", ""),
        ("a\0b", "a_b"),
        ("CON", "_CON"),
        ("con.png", "_con.png"),
        ("LPT1", "_LPT1"),
        ("trailing dots...  ", "trailing dots"),
        ("  leading", "leading"),
        ("a\u202egnp.exe", "a_gnp.exe"),
        ("tab\tline\nend", "tab_line_end"),
        (".hidden", "_hidden"),
        ("가" * 300, "가" * (LONGEST_NAME // 3)),
    ],
)
def test_hostile_prompts_are_names(prompt: str, name: str) -> None:
    assert filled("[prompt_spaces]", IMAGE, changed(prompt=prompt), AT) == name


@given(st.text(max_size=400))
def test_any_text_is_one_name_at_most(text: str) -> None:
    name = clean(text)
    assert len(name.encode()) <= LONGEST_NAME + 1
    assert Path(name).name == name and "\\" not in name and name not in (".", "..")
    assert not name.endswith((" ", ".")) and not name.startswith((" ", "."))
    assert name.isprintable() and clean(name) == name


@given(st.text(max_size=60))
def test_any_pattern_stays_below_its_folder(pattern: str) -> None:
    for name in filled_folder(pattern, IMAGE, RECIPE, AT, NOW):
        assert Path(name).name == name and name not in (".", "..")
