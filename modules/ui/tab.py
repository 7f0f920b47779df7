"""What a tab of the page is, and what it is given to build itself from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import gradio as gr

from modules.server.server import Server
from modules.ui.fields import Form
from modules.ui.page_words import PageWords
from modules.ui.top import Top


@dataclass(frozen=True)
class Page:
    """What every tab may use: the running server, the texts, the page under construction and what stands on its top."""

    server: Server
    words: PageWords
    blocks: gr.Blocks
    model: gr.Dropdown  # the checkpoint selector
    health: gr.HTML  # the state of the workers
    top: Top  # the row on top, with the fields every tab shares
    forms: dict[str, Form] = field(default_factory=dict)  # by tab; a tab with a form puts it here
    timers: dict[str, gr.Timer] = field(default_factory=dict)  # by tab; those run while their tab is in front


@dataclass(frozen=True)
class Tab:
    """One tab, offered through the `tabs` hook.

    `order` sorts the tabs (txt2img has 10); `build` is called once inside the open tab and makes its components;
    `label` is its title by language, for example `{"en": "Gallery", "ko": "갤러리"}`.
    """

    name: str
    order: int
    build: Callable[[Page], None]
    label: Mapping[str, str] = field(default_factory=dict)
