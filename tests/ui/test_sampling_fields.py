"""The numbers of samplers and schedules on the page: each is a field, and as they are made they ask for nothing."""

import gradio as gr

from modules.request import Sampling, make_request
from modules.ui.fields import Form, as_request
from modules.ui.page_words import PageWords
from modules.ui.sampling_fields import sampling_fields


def test_every_number_has_a_field_and_none_is_unusual_at_first() -> None:
    form = Form("txt2img")
    with gr.Blocks():
        sampling_fields(form, PageWords())
    fresh = form.defaults()
    assert fresh.keys() == {f"sampling/{name}" for name in Sampling.model_fields}
    assert make_request(as_request(fresh)).sampling is None
    typed = make_request(as_request(fresh | {"sampling/eta": 0.5, "sampling/discard_penultimate": True})).sampling
    assert typed == Sampling(eta=0.5, discard_penultimate=True)
