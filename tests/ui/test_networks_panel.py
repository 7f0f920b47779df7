"""Cards and controls of the models browser as HTML."""

from dataclasses import replace
from pathlib import Path

from modules.model_manager.model_file import Details, ModelFile
from modules.ui.networks_panel import Card, bar, cards
from modules.ui.networks_view import View
from modules.words import load_words

EN = load_words("en")
WASH = ModelFile("wash", Path("Lora/style/wash.safetensors"), "lora", "sd1", folder="style", alias="aquarelle")
WRITTEN = Details(trigger_words="wet, soft", negative_text="photo", preferred_weight=0.8, description="Like water.")


def shown(
    file: ModelFile, details: Details | None = None, model: str = "", total: int = 1, view: View | None = None
) -> str:
    return cards(view or View(file.kind), [Card(file, details or Details())], total, model, "models/Lora", EN)


def test_a_card_carries_what_a_click_puts_into_the_prompt() -> None:
    html = shown(WASH, WRITTEN)
    for said in ('data-take="lora"', 'data-name="wash"', 'data-weight="0.8"', 'data-alias="aquarelle"'):
        assert said in html
    assert 'data-words="wet, soft"' in html and 'data-negative="photo"' in html and "Like water." in html
    assert 'data-weight="1"' in shown(WASH)
    assert 'data-take="hypernet"' in shown(replace(WASH, kind="hypernetwork"))
    assert 'data-take="word"' in shown(replace(WASH, kind="embedding"))


def test_a_name_that_a_tag_would_take_apart_is_said_by_its_hash() -> None:
    file = replace(WASH, name="ratio 1:2", alias="", hash="abcdef0123")
    assert 'data-name="abcdef0123"' in shown(file)
    assert 'data-name="ratio 1:2"' in shown(replace(file, kind="embedding"))


def test_a_checkpoint_is_chosen_and_the_chosen_one_is_marked() -> None:
    file = replace(WASH, kind="checkpoint")
    assert 'data-act="choose"' in shown(file) and "data-take" not in shown(file)
    assert 'aria-pressed="false"' in shown(file, model="other")
    assert 'aria-pressed="true"' in shown(file, model="wash")


def test_what_cannot_be_loaded_says_why_and_cannot_be_taken() -> None:
    values = {"file": "/home/me/models/Lora/style/wash.safetensors", "reason": "cut off"}
    html = shown(replace(WASH, path=Path(values["file"]), problem="unreadable", problem_values=values))
    assert "Cannot be used" in html and "wash.safetensors" in html and "/home/me" not in html
    assert "data-take" not in html and 'data-act="details"' in html


def test_what_people_wrote_is_only_text() -> None:
    evil = '"><script>alert(1)</script>${1}'
    html = shown(replace(WASH, name=evil, alias=evil, folder=evil), Details({}, evil, evil, evil, evil))
    assert "<script" not in html and 'data-name="&quot;&gt;&lt;script&gt;' in html


def test_the_pages_lead_to_each_other() -> None:
    first, middle, last = (shown(WASH, total=150, view=View("lora", offset=offset)) for offset in (0, 60, 120))
    assert "1–1 of 150" in first and 'data-offset="60"' in first and "Previous" not in first
    assert 'data-offset="0"' in middle and 'data-offset="120"' in middle
    assert 'data-offset="60"' in last and "Next" not in last


def test_nothing_is_said_as_what_it_is() -> None:
    assert cards(View(), [], 0, "", "models/Lora", EN) == ""
    assert "models/Lora" in cards(View("lora"), [], 0, "", "models/Lora", EN)
    assert "Nothing here matches." in cards(View("lora", words="x"), [], 0, "", "models/Lora", EN)


def test_the_controls_are_those_of_the_open_tab() -> None:
    closed = bar(View(), [], "sd1", EN)
    assert closed.count('role="tab"') == 4 and "data-state" not in closed and 'aria-selected="true"' not in closed
    opened = bar(View("lora", "wash", "style", "modified", True, True), ["style"], "sd1", EN)
    for said in ('data-kind="lora" aria-selected="true"', 'value="wash"', '<option value="style" selected>', "checked"):
        assert said in opened
    assert 'data-state="folder"' not in bar(View("lora"), [], "sd1", EN)
    assert 'data-state="every"' not in bar(View("lora"), [], "", EN)
