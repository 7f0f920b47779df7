"""What was asked, and what is not allowed."""

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from modules.errors import BadRequest
from modules.request import LARGEST_SEED, PROMPT_LENGTH, Request, Sampling, make_request
from modules.words import load_words

NAME = "0" * 64


def test_empty_request_has_defaults() -> None:
    request = make_request({})
    assert (request.prompt, request.steps, request.cfg_scale, request.images, request.width) == ("", 20, 7.0, 1, None)


def test_tiles_want_a_picture() -> None:
    with pytest.raises(BadRequest) as refused:
        make_request({"tiles": {}})
    assert refused.value.key == "tiles_alone"


def test_request_is_frozen() -> None:
    with pytest.raises(ValidationError):
        make_request({}).steps = 3


def test_text_is_read_as_numbers() -> None:
    request = make_request({"steps": "30", "seed": str(LARGEST_SEED), "width": "512", "cfg_scale": "4.5"})
    assert (request.steps, request.seed, request.width, request.cfg_scale) == (30, LARGEST_SEED, 512, 4.5)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"width": 0}, "size"),
        ({"width": 17}, "size"),
        ({"height": 100_000}, "size"),
        ({"height": "wide"}, "size"),
        ({"steps": 0}, "whole_number"),
        ({"steps": -1}, "whole_number"),
        ({"steps": 10**9}, "whole_number"),
        ({"steps": 2.5}, "whole_number"),
        ({"steps": None}, "whole_number"),
        ({"cfg_scale": math.nan}, "number"),
        ({"cfg_scale": math.inf}, "number"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"seed": -2}, "seed"),
        ({"seed": "abc"}, "seed"),
        ({"batch_count": 0}, "whole_number"),
        ({"batch_size": 99}, "whole_number"),
        ({"prompt": "one " * 10_000}, "prompt_length"),
        ({"prompt": "a\0b"}, "prompt_characters"),
        ({"negative_prompt": "\ud800"}, "prompt_characters"),
        ({"prompt": 5}, "bad_value"),
        ({"extras": "text"}, "bad_value"),
        ({"extras": {"a": 1}}, "bad_value"),
        ({"colour": "red"}, "unknown_field"),
        ({"init": {"image": "../x"}}, "bad_value"),
        ({"init": {"image": NAME, "denoising_strength": 1.5}}, "number"),
        ({"init": {"image": NAME, "resize_mode": "odd"}}, "one_of"),
        ({"init": {"image": NAME, "odd": 1}}, "unknown_field"),
        ({"mask": {"image": NAME, "blur": 65}}, "whole_number"),
        ({"mask": {"image": NAME, "soft": {"schedule_bias": 9}}}, "number"),
        ({"sampling": {"eta": 1.5}}, "number"),
        ({"sampling": {"s_churn": None}}, "number"),
        ({"sampling": {"odd": 1}}, "unknown_field"),
        ({"sampling": {"uni_pc_order": 51}}, "whole_number"),
        ({"sampling": {"uni_pc_variant": "bh3"}}, "one_of"),
        ({"sampling": {"beta_dist_alpha": 0}}, "number"),
        ({"sampling": {"sigma_min": 2, "sigma_max": 1}}, "sigma_order"),
        ({"controls": [{"weight": 3}]}, "number"),
        ({"controls": [{"mode": "odd"}]}, "one_of"),
        ({"controls": [{}] * 11}, "too_many_controls"),
        ({"hires": {"scale": 9}}, "number"),
        ({"hires": {"width": 100}}, "size"),
        ({"hires": {"prompt": "a\0b"}}, "prompt_characters"),
        ({"hires": {"negative_prompt": "one " * 10_000}}, "prompt_length"),
        ({"hires": {"cfg_scale": 31}}, "number"),
        ({"refiner": {"switch_at": 0}}, "number"),
        ({"refiner": {"passes": "third"}}, "one_of"),
        ({"hires": {}, "init": {"image": "0" * 64}}, "hires_with_picture"),
    ],
)
def test_bad_values_say_what_is_allowed(values: dict[str, Any], key: str) -> None:
    with pytest.raises(BadRequest) as caught:
        make_request(values)
    assert caught.value.key == key
    for language in ("en", "ko"):
        sentence = caught.value.say(load_words(language))
        assert not re.search(r"\{\w+\}", sentence)
        field = str(caught.value.values.get("field", ""))
        assert field in sentence or key == "seed"
        assert field.removeprefix("hires_") in json.dumps(values) or key == "too_many_controls"


@pytest.mark.parametrize("prompt", ["", "🦊 달", "a\nb\tc", "x" * PROMPT_LENGTH])
def test_every_other_text_is_a_prompt(prompt: str) -> None:
    assert make_request({"prompt": prompt}).prompt == prompt


ANYTHING = st.none() | st.integers() | st.text() | st.floats() | st.lists(st.integers())


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*Request.model_fields, "odd"]), ANYTHING))
def test_nothing_but_a_request_or_a_sentence_comes_out(values: dict[str, Any]) -> None:
    try:
        request = make_request(values)
    except BadRequest as error:
        assert f"errors.{error.key}" in load_words().sentences
    else:
        assert Request.model_validate_json(request.model_dump_json()) == request


def test_seed_is_drawn_once() -> None:
    drawn = make_request({}).with_seed()
    assert 0 <= drawn.seed < 2**32
    assert drawn.with_seed() is drawn


def test_shots_count_up_from_the_seed_and_wrap() -> None:
    shots = make_request({"prompt": "a", "seed": LARGEST_SEED, "batch_count": 2, "batch_size": 2}).shots()
    assert [shot.seed for shot in shots] == [LARGEST_SEED, 0, 1, 2]
    assert [shot.index for shot in shots] == [0, 1, 2, 3]
    assert {shot.prompt for shot in shots} == {"a"}


def test_guidance_that_is_as_usual_is_none() -> None:
    assert make_request({"guidance": {"rescale": 0, "s_min_uncond_all": True}}).guidance is None
    asked = make_request({"guidance": {"rescale": 0.5, "s_min_uncond_all": True}}).guidance
    assert asked is not None and not asked.s_min_uncond_all, "without noise to be below there is nothing to it"
    with pytest.raises(BadRequest) as refused:
        make_request({"guidance": {"s_min_uncond": 16}})
    assert (refused.value.key, refused.value.values["most"]) == ("number", 15)


def test_tiles_cannot_fit_together_at_the_borders_of_the_whole() -> None:
    asked = {"init": {"image": "0" * 64}, "tiles": {}, "tiling": True}
    with pytest.raises(BadRequest) as refused:
        make_request(asked)
    assert refused.value.key == "tiling_in_tiles"
    assert make_request(asked | {"tiles": None}).tiling


def test_a_variation_that_changes_nothing_is_none_and_one_keeps_the_first_seed() -> None:
    assert make_request({"variation": {"seed": 5, "strength": 0}}).variation is None
    request = make_request({"seed": 7, "variation": {"strength": 0.2}, "batch_count": 2}).with_seed()
    assert request.variation is not None and request.variation.seed >= 0
    first, second = request.shots()
    assert (first.seed, second.seed) == (7, 7)
    assert second.variation_seed == first.variation_seed + 1
    resized = make_request({"seed": 7, "variation": {"from_width": 64, "from_height": 64}, "batch_count": 2})
    assert [shot.seed for shot in resized.with_seed().shots()] == [7, 8]
    with pytest.raises(BadRequest, match="divides by 8"):
        make_request({"variation": {"from_width": 63}})


def test_numbers_of_samplers_that_are_as_usual_are_none() -> None:
    assert make_request({"sampling": {}}).sampling is None
    assert make_request({"sampling": {"eta": 1, "s_noise": 1.0, "discard_penultimate": False}}).sampling is None
    sampling = make_request({"sampling": {"eta": 0.5, "sigma_max": 9, "sgm_noise_multiplier": True}}).sampling
    assert sampling is not None
    assert sampling.numbers == {"eta": 0.5, "sigma_max": 9.0, "sgm_noise_multiplier": True}
    assert sampling.only({"sigma_max", "rho"}) == Sampling(sigma_max=9)
    assert sampling.only({"rho"}) is None


def test_words_that_are_read_as_usual_are_none() -> None:
    assert make_request({"encoding": {"comma_backtrack": 20, "comments": True}}).encoding is None
    asked = make_request({"encoding": {"comma_backtrack": 0, "old_emphasis": "true"}}).encoding
    assert asked is not None and (asked.comma_backtrack, asked.old_emphasis, asked.comments) == (0, True, True)
    with pytest.raises(BadRequest) as refused:
        make_request({"encoding": {"comma_backtrack": 75}})
    assert (refused.value.key, refused.value.values["most"]) == ("whole_number", 74)
