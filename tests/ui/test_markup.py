"""Text is always escaped, whatever it holds and wherever it goes."""

from hypothesis import given
from hypothesis import strategies as st

from modules.ui.markup import Html, element, icon, joined


@given(st.text())
def test_text_cannot_become_an_element(text: str) -> None:
    made = element("p", text, title=text)
    inside = made.removeprefix("<p").removesuffix("</p>")
    assert inside.count("<") == 0 and inside.count(">") == 1
    assert inside.count('"') == 2


def test_elements_nest_and_attributes_are_spelt_for_html() -> None:
    made = element("button", element("b", "x"), "&", cls="tool", data_act="go", disabled=True, title=None, hidden=False)
    assert made == '<button class="tool" data-act="go" disabled><b>x</b>&amp;</button>'
    assert element("img", src="/a?b&c") == '<img src="/a?b&amp;c">'


def test_nothing_leaves_nothing_and_finished_html_is_left_alone() -> None:
    assert joined("<", None, Html("<br>")) == "&lt;<br>"
    assert 'aria-hidden="true"' in icon("close")
