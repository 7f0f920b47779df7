"""A slider whose bounds are the request's to speak of."""

from typing import Any

import gradio as gr

from gradio.events import Dependency

class Slider(gr.Slider):
    """Gradio's slider, without its own sentence about what is out of bounds: a request says so in the page's language.

    Gradio would say it at every key that is pressed in the box beside the slider.
    """

    is_template = True  # the page draws it as Gradio's own

    def preprocess(self, payload: Any) -> Any:
        """Return what is in the box, whatever it is."""
        return payload
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component