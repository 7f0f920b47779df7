"""The texts of the page: complete in every language, all of them used, chosen by what the browser asks for."""

import json
import re
from types import SimpleNamespace
from typing import cast

import gradio as gr
import pytest

from modules.errors import BadRequest
from modules.request import Control, Guidance, Hires, InitImage, Mask, Request, Soft, Variation, make_request
from modules.ui.page_words import PageWords, explain
from modules.words import LANGUAGES, LOCALE
from tests.floors import ROOT


def sentences(language: str) -> dict[str, str]:
    return dict(json.loads((LOCALE / language / "ui.json").read_text(encoding="utf-8")))


def test_every_language_says_everything_with_the_same_blanks() -> None:
    for language in LANGUAGES:
        assert sentences(language).keys() == sentences("en").keys()
        for name, text in sentences(language).items():
            assert text.strip()
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", sentences("en")[name])), name


PARTS = (Request, InitImage, Mask, Soft, Control, Guidance, Variation, Hires)
FIELDS = {name for part in PARTS for name in part.model_fields}


def test_no_text_is_there_for_nothing() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "modules" / "ui").rglob("*.py"))
    source += "".join(path.read_text(encoding="utf-8") for path in (ROOT / "modules" / "api").rglob("*.py"))
    made = ("stage_", "worker_", "ended_", "tab_", "span_", "merger_", "task_", "send_", "outpaint_", "control_")
    # completed by what is told
    unused = [name for name in sentences("en") if f'"{name}"' not in source and f"ui.{name}" not in source]
    assert [name for name in unused if not name.startswith(made) and name not in FIELDS] == []


@pytest.mark.parametrize(("header", "language"), [("ko-KR,ko;q=0.9", "ko"), ("de,en;q=0.5", "en"), ("", "en")])
def test_a_visitor_is_answered_in_the_language_asked_for(header: str, language: str) -> None:
    request = cast(gr.Request, SimpleNamespace(headers={"accept-language": header}))
    assert PageWords().heard(request).language == language


def test_a_refusal_calls_the_field_as_the_page_does() -> None:
    words = PageWords().languages["ko"]
    with pytest.raises(BadRequest) as refused:
        make_request({"steps": 0})
    assert explain(refused.value, words).startswith("샘플링 단계 값이 0입니다.")


def test_a_text_is_a_key_that_the_browser_looks_up() -> None:
    words = PageWords()
    assert words.table().translations_dict["ko"][words("generate").key] == "생성"
