"""What styles make of a prompt, and how they are found in one again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.styles import Style, applied, extracted, extracted_from_all, merged, without

GIRL = "1girl, art by greg"


@pytest.mark.parametrize(
    ("text", "prompt", "together"),
    [
        ("masterpiece", GIRL, f"{GIRL}, masterpiece"),
        ("masterpiece, {prompt}", GIRL, f"masterpiece, {GIRL}"),
        ("{prompt} and {prompt}", "a", "a and a"),
        ("", GIRL, GIRL),
        ("masterpiece", "", "masterpiece"),
        ("  sharp  ", " a cat ", "a cat, sharp"),
        ("photo of {prompt}, sharp", "", "photo of , sharp"),
    ],
)
def test_a_style_goes_around_or_behind(text: str, prompt: str, together: str) -> None:
    assert merged(text, prompt) == together


@pytest.mark.parametrize(
    ("text", "prompt", "before"),
    [
        ("masterpiece", f"{GIRL}, masterpiece", GIRL),
        ("masterpiece, {prompt}", f"masterpiece, {GIRL}", GIRL),
        ("masterpiece, {prompt}", f"exquisite, {GIRL}", None),
        ("masterpiece", "masterpiece", ""),
        ("masterpiece", "supermasterpiece", None),
        ("photo of {prompt}, sharp", "photo of a cat,  sharp", "a cat"),
        ("aba{prompt}aba", "aba", None),  # it cannot be both ends
        ("", GIRL, GIRL),
    ],
)
def test_it_is_found_only_where_it_was_put(text: str, prompt: str, before: str | None) -> None:
    assert without(text, prompt) == before


PHOTO = Style("Photo", "photo of {prompt}", "drawing")
SHARP = Style("Sharp", "sharp, detailed")
EMPTY, SAME = Style("Nothing"), Style("Same", "{prompt}")


def test_all_are_found_in_their_order() -> None:
    together = applied([SHARP, PHOTO], "a cat", "blurred")
    assert together == ("photo of a cat, sharp, detailed", "blurred, drawing")
    assert extracted([EMPTY, SAME, PHOTO, SHARP], *together) == (["Sharp", "Photo"], "a cat", "blurred")


def test_both_prompts_must_have_it() -> None:
    assert extracted([PHOTO], "photo of a cat", "") == ([], "photo of a cat", "")


WORDS = st.lists(st.sampled_from(["a", "cat", "고양이", "(red:1.2)", "<lora:x:1>", "art by greg"]), min_size=1).map(
    ", ".join
)
TEXTS = st.sampled_from(["", "masterpiece", "masterpiece, {prompt}", "photo of {prompt}, 선명", "{prompt}\nsharp"])


@given(WORDS, WORDS, st.lists(st.builds(Style, st.sampled_from("xyz"), TEXTS, TEXTS), max_size=3))
def test_putting_back_what_was_found_gives_the_same_prompts(prompt: str, negative: str, styles: list[Style]) -> None:
    together = applied(styles, prompt, negative)
    names, *before = extracted(styles, *together)
    left = list(styles)
    found = []
    for name in names:
        found.append(next(each for each in left if each.name == name))
        left.remove(found[-1])
    if len({each.name for each in styles}) == len(styles):
        assert applied(found, *before) == together


def test_a_style_must_be_in_the_prompts_of_a_second_pass_too_where_there_are_any() -> None:
    both = ["photo of a cat", "photo of a dog"]
    assert extracted_from_all([PHOTO], both, ["drawing"]) == (["Photo"], ["a cat", "a dog"], [""])
    for other in ("a dog", "photo of"):
        said = ["photo of a cat", other]
        assert extracted_from_all([PHOTO], said, ["drawing"]) == ([], said, ["drawing"])
    alone = ["a cat, sharp, detailed", "sharp, detailed"]
    assert extracted_from_all([SHARP], alone, [""])[0] == [], "what would be left says that it is as in the first pass"
