"""How the page's listeners are set up, for Gradio to be given by `**`.

`show_progress_on` is empty on purpose: Gradio writes a state of loading into every component that any answer may
change, on each question and again on each answer, even where it shows none. With some hundred components and a
question every second that is most of the work of a page; and its paint editor takes it for a new picture, and sends it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Values of a form as they are in the page. Gradio's own sentences about what is out of bounds, or in no list, are in
# English, and come at every key that is pressed; a request has better ones.
AS_TYPED: Mapping[str, Any] = MappingProxyType({"preprocess": False})
# Answered at once, beside everything else.
QUIET: Mapping[str, Any] = MappingProxyType(
    {"queue": False, "show_progress": "hidden", "show_progress_on": (), "api_visibility": "private"}
)
# Through Gradio's queue, by which alone toasts reach the page.
QUEUED: Mapping[str, Any] = MappingProxyType(
    {"show_progress": "hidden", "show_progress_on": (), "api_visibility": "private", "concurrency_limit": None}
)
