"""The switch on the page."""

from collections.abc import Sequence

import gradio as gr
from gradio.components import Component

from modules.hooks import hookimpl
from modules.ui.fields import Field
from modules.ui.page_words import PageWords


@hookimpl
def fields(tab: str) -> Sequence[Field]:
    """Offer the switch where prompts are typed."""
    return [Field("dynamic-prompts.enabled", switch)] if tab == "txt2img" else []


def switch(words: PageWords) -> Component:
    """Make the checkbox."""
    return gr.Checkbox(
        value=False,
        label=words.of("Dynamic prompts", ko="다이나믹 프롬프트"),
        info=words.of(
            "Chooses from {red|blue} and from wildcard files anew for every picture, by its seed.",
            ko="{red|blue} 같은 선택지와 와일드카드 파일에서 그림마다 시드에 따라 새로 고릅니다.",
        ),
    )
