"""What a "parameters" text says, as values of a form; whatever anybody wrote into it."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.images import infotext
from modules.images.entries import Left, units_of, values_of
from modules.images.plain_entries import PLAIN
from modules.request import Control, Encoding, Sampling
from modules.result import UsedControl
from tests.images.test_infotext import changed

THEIRS = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')  # A1111's own expression


def said(text: str) -> tuple[dict[str, object], list[Left]]:
    return values_of(infotext.read(text))


@settings(deadline=None)
@given(st.text('ab1 :,-/"\\\t', max_size=40))
def test_entries_are_found_where_the_reference_finds_them(line: str) -> None:
    assert [key for key, _ in infotext.entries(line)] == [key for key, _ in THEIRS.findall(line)]


@pytest.mark.parametrize(
    "line", ["a" * 10**6, "aa: " * 250_000, 'aa: "' * 200_000, 'aa: "\\' * 160_000, "\\" * 10**6, " " * 10**6]
)
def test_a_megabyte_of_anything_is_read_in_one_pass(line: str) -> None:
    values, _ = said(f"a cat\n{line}\0<script>")
    assert "\0" not in str(values.get("prompt", ""))


def test_a_text_of_the_reference_fills_a_form() -> None:
    values, left = said(
        "a (cat:1.2), <lora:x:1>\nNegative prompt: dog\nSteps: 20.0, Sampler: Euler a, CFG scale: 7.5, Seed: 12345, "
        "Size: 512x768, Model: m, Denoising strength: 0.4, Resize mode: Crop and resize, Mask blur: 8, "
        "Mask mode: Inpaint not masked, Inpaint area: Only masked, Masked area padding: 64, Clip skip: 2"
    )
    assert left == []
    assert values == {
        "prompt": "a (cat:1.2), <lora:x:1>",
        "negative_prompt": "dog",
        "steps": 20,
        "cfg_scale": 7.5,
        "seed": 12345,
        "width": 512,
        "height": 768,
        "clip_skip": 2,
        "init/denoising_strength": 0.4,
        "init/resize_mode": "crop",
        "init/noise_multiplier": 1.0,
        "init/mask_weight": 1.0,
        "init/color_correction": False,
        "mask/blur": 8,
        "mask/invert": True,
        "mask/area": "masked",
        "mask/padding": 64,
        "mask/fill": "original",
        "soft": False,
        "emphasis": "Original",
        "hires_on": False,
        "in_tiles": False,
        "seed_delta": 0,
        "variation/strength": 0,
        "variation/from_width": 0,
        "variation/from_height": 0,
        **{f"sampling/{name}": info.default for name, info in Sampling.model_fields.items()},
        **{f"{name}/{each}": part.model_fields[each].default for name, (part, own) in PLAIN.items() for each in own},
        "guidance/rescale": 0,
        "guidance/skip_early": 0,
        "guidance/s_min_uncond": 0,
        "guidance/s_min_uncond_all": False,
        **{f"encoding/{name}": info.default for name, info in Encoding.model_fields.items()},
        "tiling": False,
        "old_timelines": False,
        "downcast_alphas": False,
        "noise_schedule": "Default",
        "pad_conds": "off",
    }


def test_words_alone_leave_everything_else_as_it_is() -> None:
    assert said("a cat\non a mat") == ({"prompt": "a cat\non a mat", "negative_prompt": ""}, [])


def test_networks_that_old_texts_name_beside_the_prompt_come_into_it() -> None:
    values, _ = said("a cat\nSteps: 1, Seed: 2, Hypernet: ink, Hypernet strength: 0.5, Model: m")
    assert values["prompt"] == "a cat <hypernet:ink:0.5>"
    values, left = said(
        "a cat\nSteps: 1, Seed: 2, AddNet Enabled: True, AddNet Module 1: LoRA, AddNet Model 1: ink(0a1b2c3d), "
        "AddNet Weight A 1: 0.7, AddNet Weight B 1: 0.7"
    )
    assert (values["prompt"], left) == ("a cat <lora:ink:0.7>", [])


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("Steps", "1e999"),
        ("Steps", "0"),
        ("Steps", "9" * 5000),
        ("CFG scale", "nan"),
        ("Seed", "-5"),
        ("Seed", str(2**64)),
        ("Size", "1x1"),
        ("Mask mode", "<b>"),
    ],
)
def test_what_is_not_allowed_is_said_and_left(entry: str, value: str) -> None:
    values, left = said(f"p\nModel: m, Sampler: s, VAE: v, {entry}: {value}")
    assert [each.values["entry"] for each in left] == [entry] and left[0].values["allowed"]
    assert not {"steps", "cfg_scale", "seed", "width"} & values.keys()


def test_a_seed_keeps_every_digit() -> None:
    assert said(f"p\nSteps: 1, Seed: {2**64 - 1}, Model: m")[0]["seed"] == 2**64 - 1


def test_a_size_between_steps_is_rounded_and_said() -> None:
    values, left = said("p\nSteps: 1, Seed: 2, Size: 517x768")
    assert (values["width"], values["height"]) == (512, 768)
    assert left == [Left("left_size", {"given": "517x768", "taken": "512x768", "step": 8})]


def test_entries_there_is_no_field_for_are_named() -> None:
    _, left = said("p\nSteps: 1, Seed: 2, FreeU: 1, Hypertile VAE: True, Model: m")
    assert left == [Left("left_unknown", {"entries": "FreeU, Hypertile VAE"})]


def test_the_strength_of_a_second_pass_is_not_that_of_a_picture() -> None:
    values, left = said("p\nSteps: 1, Seed: 2, Denoising strength: 0.4, Hires resize: 8x8, Hires upscaler: Latent")
    assert "init/denoising_strength" not in values and left == []
    assert values["hires_on"] and values["hires/denoising_strength"] == 0.4
    assert (values["hires/width"], values["hires/height"], values["hires/steps"]) == (8, 8, 0)
    assert not said("p\nSteps: 1, Seed: 2, Denoising strength: 0.4")[0]["hires_on"]


def test_where_the_noise_came_from_is_taken_over_and_is_as_usual_where_nothing_is_said() -> None:
    text = (
        "p\nSteps: 1, Seed: 2, Variation seed: 9, Variation seed strength: 0.25, Seed resize from: 512x256, ENSD: 31337"
    )
    values, left = said(text)
    assert left == [] and (values["variation/seed"], values["variation/strength"]) == (9, 0.25)
    assert (values["variation/from_width"], values["variation/from_height"], values["seed_delta"]) == (512, 256, 31337)
    plain, _ = said("p\nSteps: 1, Seed: 2, Model: m")
    assert (plain["variation/strength"], plain["variation/from_width"], plain["seed_delta"]) == (0, 0, 0)


def test_numbers_of_samplers_and_schedules_are_taken_over_and_are_as_usual_where_nothing_is_said() -> None:
    values, left = said(
        "p\nSteps: 1, Seed: 2, Eta: 0.67, Sigma churn: 4, Sigma tmax: 7.5, Sigma noise: 1.003, Schedule rho: 5, "
        "Schedule max sigma: 10, Discard penultimate sigma: True"
    )
    found = {name.removeprefix("sampling/"): value for name, value in values.items() if name.startswith("sampling/")}
    assert (
        left == []
        and found
        == Sampling(
            eta=0.67, s_churn=4, s_tmax=7.5, s_noise=1.003, rho=5, sigma_max=10, discard_penultimate=True
        ).model_dump()
    )
    _, left = said("p\nSteps: 1, Seed: 2, Sigma churn: 1e9, Model: m")
    assert [each.values["entry"] for each in left] == ["Sigma churn"] and "100" in str(left[0].values["allowed"])


def test_what_a_mask_hides_counts_for_pictures_that_were_painted_over() -> None:
    text = "p\nSteps: 1, Seed: 2, Model: inpainting, Conditional mask weight: 0.5"
    assert said(f"{text}, Denoising strength: 0.4")[0]["init/mask_weight"] == 0.5
    values, left = said(text)
    assert left == [] and not any(name.startswith("init/") for name in values)


def test_what_tempers_guidance_is_taken_over() -> None:
    values, left = said(
        "p\nSteps: 1, Seed: 2, Tiling: True, NGMS: 1.5, NGMS all steps: True, Skip Early CFG: 0.2, "
        "Noise Schedule: Zero Terminal SNR, Pad conds: True, Version: v1.10.1"
    )
    assert left == [] and (values["tiling"], values["pad_conds"]) == (True, "chunks")
    assert (values["guidance/s_min_uncond"], values["guidance/s_min_uncond_all"]) == (1.5, True)
    assert (values["guidance/skip_early"], values["noise_schedule"]) == (0.2, "Zero Terminal SNR")


def test_a_prompt_longer_than_any_may_be_is_left() -> None:
    values, left = said("a" * 10_001 + "\nSteps: 1, Seed: 2, Model: m")
    assert "prompt" not in values and [each.key for each in left] == ["left_too_long"]


def test_units_of_controlnet_come_back() -> None:
    asked = Control(
        preprocessor="canny",
        model="edges",
        weight=0.7,
        start=0.1,
        end=0.9,
        mode="control",
        resize_mode="fill",
        resolution=640,
        pixel_perfect=True,
    )
    used = UsedControl(asked=asked, model_hash="01234567", sliders=(100.0, 200.5), resolution=640)
    (unit,) = units_of(infotext.read(infotext.write(changed(controls=(used,))))).values()
    assert (unit.pop("sliders"), unit.pop("model_hash")) == ((100, 200.5), "01234567")
    assert Control(**unit) == asked
    assert units_of({"ControlNet 0": "nonsense"})[0]["preprocessor"] == "none"


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["Steps", "Seed", "Size-1", "Size-2", "Mask blur", "ControlNet 0"]), st.text()))
def test_reading_never_fails(fields: dict[str, str]) -> None:
    values_of(fields)
    units_of(fields)


def test_how_words_were_read_comes_back() -> None:
    asked = Encoding(old_emphasis=True, comma_backtrack=5, clip_l_skip=True, comments=False, first_pass_networks=True)
    text = infotext.write(changed(encoding=asked))
    assert "Old emphasis: True, Comma padding backtrack: 5, Clip skip SDXL: True, Prompt comments: False, " in text
    values, left = said(text)
    found = {name.removeprefix("encoding/"): value for name, value in values.items() if name.startswith("encoding/")}
    assert left == [] and Encoding(**found) == asked  # type: ignore[arg-type]
    assert not set(infotext.ENCODING.values()) & infotext.read(infotext.write(changed())).keys()
    assert infotext.ENCODING.keys() == Encoding.model_fields.keys()
