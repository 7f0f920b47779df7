"""What is said of a picture at each step."""

from __future__ import annotations

from modules.engine.wording import Wording, moments, texts, wordings
from modules.prompts.composed import Composed
from modules.request import Shot


def shot(prompt: str, negative: str = "") -> Shot:
    return Shot(index=0, prompt=prompt, negative_prompt=negative, seed=0)


def test_every_part_of_a_prompt_has_its_own_timeline() -> None:
    said = wordings(shot("[a:b:1] AND [c|d]:0.5", "[e:f:0.5] AND g:2"), 3)
    assert said == (
        Wording((Composed("a"), Composed(" c", 0.5)), "e AND g:2"),
        Wording((Composed("b"), Composed(" d", 0.5)), "f AND g:2"),
        Wording((Composed("b"), Composed(" c", 0.5)), "f AND g:2"),
    )


def test_what_is_said_first_is_said_for_a_step_longer() -> None:
    """As A1111 counts: `[a:b:5]` in ten steps is six with a and four with b, and `[a|b]` begins with a twice."""
    for prompt, expected in {"[a:b:5]": "aaaaaabbbb", "[a|b]": "aababababa", "[a:b:0]": "b" * 10}.items():
        said = [wordings(shot(prompt), 10)]
        assert "".join(moment[0].prompts[0].text for moment in moments(said, 10)) == expected


def test_over_a_picture_the_timeline_is_as_long_as_ever_and_begins_with_the_first_step_taken() -> None:
    said = [wordings(shot("[a:b:5]"), 10), wordings(shot("c"), 10)]
    assert ["".join(each.prompts[0].text for each in moment) for moment in moments(said, 7)] == ["ac"] * 6 + ["bc"]


def test_each_text_is_read_once_and_a_negative_prompt_where_it_counts() -> None:
    said = wordings(shot("[a|b] AND c", "n"), 4)
    assert list(texts(said, 7.0)) == list(texts(said, 1.0)) == ["a", " c", "n", "b"]
    assert list(texts(wordings(shot("a", "n"), 4), 1.0)) == ["a"]


def test_a_second_pass_may_count_as_the_reference_once_did() -> None:
    said = [wordings(shot("[a:b:0.5]"), 4, 4, old=old) for old in (False, True)]
    assert ["".join(each.texts[0] for each in one) for one in said] == ["bbbb", "aabb"]
