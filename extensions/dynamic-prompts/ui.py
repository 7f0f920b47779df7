"""The switch on the page, and the names of wildcards that prompts are completed with."""

from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from gradio.components import Component

from modules.hooks import hookimpl
from modules.prompts.completion import Completion
from modules.ui.fields import Field
from modules.ui.page_words import PageWords

HERE = Path(__file__).parent
FOLDERS = (HERE / "wildcards", HERE.parent.parent / "wildcards")  # those of engine.py


@hookimpl
def fields(tab: str) -> Sequence[Field]:
    """Offer the switch where prompts are typed."""
    return [Field("dynamic-prompts.enabled", switch)] if tab == "txt2img" else []


@hookimpl
def completions() -> Sequence[Completion]:
    """Offer the names of wildcards after two underscores."""
    return [Completion("dynamic-prompts", "__", "__", lambda: names(FOLDERS))]


def names(folders: Sequence[Path]) -> list[str]:
    """Return the names of the .txt files in `folders`, as a prompt has them."""
    found = ((file, folder) for folder in folders for file in folder.rglob("*.txt"))
    return sorted({file.relative_to(folder).with_suffix("").as_posix() for file, folder in found})


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
