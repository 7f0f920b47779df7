from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.tags import Tag, take_out


def test_a_prompt_without_tags_stays_as_it_is() -> None:
    for prompt in ("", "a (red:1.2) circle", "a < b > c", "<3:", "<lora:>", "<:x>", "< lora:x>", "a <lora:x"):
        assert take_out(prompt) == (prompt, ())


def test_tags_are_taken_out_wherever_they_stand_and_the_words_around_stay() -> None:
    text, tags = take_out("<lora:a>a red<lora:b:0.5> circle, (shiny <hypernet:c:2>:1.2)")
    assert text == "a red circle, (shiny :1.2)"
    assert tags == (Tag("lora", "a"), Tag("lora", "b", ("0.5",)), Tag("hypernet", "c", ("2",)))


def test_arguments_go_by_place_or_by_name() -> None:
    (tag,) = take_out("<lora:my style v1.0:0.8:0.4:16>")[1]
    assert tag == Tag("lora", "my style v1.0", ("0.8", "0.4", "16"))
    (tag,) = take_out("<lora:x:unet=0.3:te=1:dyn=8>")[1]
    assert tag == Tag("lora", "x", (), MappingProxyType({"unet": "0.3", "te": "1", "dyn": "8"}))
    (tag,) = take_out("<lora:te=0.5:x>")[1]  # a name comes first among those that go by place
    assert (tag.name, tag.named) == ("x", {"te": "0.5"})
    (tag,) = take_out("<lora:x:a=b=c>")[1]  # two signs are no name
    assert tag.positional == ("a=b=c",)


def test_lyco_is_another_name_of_lora_and_unknown_kinds_are_no_words_either() -> None:
    text, tags = take_out("a <lyco:x:0.7> b <wildcard:y>")
    assert text == "a  b "
    assert tags == (Tag("lora", "x", ("0.7",)), Tag("wildcard", "y"))


def test_a_number_is_read_by_name_before_place_and_must_be_one() -> None:
    (tag,) = take_out("<lora:x:0.5:0.25:te=0.75>")[1]
    assert tag.number(0, "te", 1.0) == 0.75
    assert tag.number(1, "unet", 1.0) == 0.25
    assert tag.number(2, "dyn", 0.0) == 0.0
    for text in ("x", "nan", "inf", "-inf", ""):
        with pytest.raises(ValueError, match=r"could not convert|not finite"):
            Tag("lora", "x", (text,)).number(0, "te", 1.0)


@given(st.text())
def test_any_text_is_read_and_what_is_left_holds_no_tag(prompt: str) -> None:
    text, tags = take_out(prompt)
    assert len(text) <= len(prompt)
    assert bool(tags) == (text != prompt)
