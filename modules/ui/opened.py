"""What a tab is filled with when it is first in front.

Gradio makes the components of a tab when the tab is first opened. Only then they ask for what they are to show: a page
would otherwise begin by filling every tab, most of which nobody looks at.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from modules.ui.listeners import QUIET


def when_opened(fill: Callable[..., Any], outputs: Sequence[Component]) -> Dependency:
    """Have `fill` give a page its `outputs`, once, when the tab that is being built is first in front of it."""
    door: Any = gr.HTML("", js_on_load="trigger('opened')", apply_default_css=False, elem_classes="door")
    found: Dependency = door.opened(fill, None, list(outputs), **QUIET)
    return found
