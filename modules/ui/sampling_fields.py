"""The samplers' and schedules' own numbers, as fields of a tab that makes pictures."""

from typing import Any, get_args

import gradio as gr

from modules.request import Sampling
from modules.ui.fields import Form
from modules.ui.page_words import PageWords


def sampling_fields(form: Form, words: PageWords) -> None:
    """Build the fields of `request.Sampling` in a part of their own, and add them to `form`."""
    with gr.Accordion(words("sampling_details"), open=False, elem_classes="part"):
        gr.Markdown(words("sampling_details_hint"), elem_classes="hint")
        with gr.Row(elem_classes="line two"):
            _box(form, "eta", words("eta"), 0.01)
            _box(form, "eta_ddim", words("eta_ddim"), 0.01)
        with gr.Row(elem_classes="line two"):
            _box(form, "s_churn", words("s_churn"), 0.01)
            _box(form, "s_noise", words("s_noise"), 0.001)
        with gr.Row(elem_classes="line two"):
            _box(form, "s_tmin", words("s_tmin"), 0.01)
            _box(form, "s_tmax", words("s_tmax"), 0.01)
        with gr.Row(elem_classes="line two"):
            _box(form, "sigma_min", words("sigma_min"), 0.001)
            _box(form, "sigma_max", words("sigma_max"), 0.001)
        _box(form, "rho", words("rho"), 0.1)
        with gr.Row(elem_classes="line two"):
            _box(form, "beta_dist_alpha", words("beta_dist_alpha"), 0.01)
            _box(form, "beta_dist_beta", words("beta_dist_beta"), 0.01)
        with gr.Row(elem_classes="line two"):
            _choice(form, "uni_pc_variant", words("uni_pc_variant"))
            _choice(form, "uni_pc_skip_type", words("uni_pc_skip_type"))
        with gr.Row(elem_classes="line two"):
            _box(form, "uni_pc_order", words("uni_pc_order"), 1)
            _choice(form, "ddim_discretize", words("ddim_discretize"))
        _switch(form, "uni_pc_lower_order_final", words("uni_pc_lower_order_final"))
        _switch(form, "discard_penultimate", words("discard_penultimate"))
        _switch(form, "sgm_noise_multiplier", words("sgm_noise_multiplier"))
        _switch(form, "quantize", words("quantize"))
        _box(form, "extra_noise", words("extra_noise"), 0.01)


def _box(form: Form, name: str, label: Any, step: float) -> None:
    usual = Sampling.model_fields[name].default
    made = gr.Number(usual, label=label, elem_id=f"{form.tab}_sampling_{name}", step=step, min_width=0)
    form.add(f"sampling/{name}", made)


def _switch(form: Form, name: str, label: Any) -> None:
    usual = Sampling.model_fields[name].default
    made = gr.Checkbox(usual, label=label, elem_id=f"{form.tab}_sampling_{name}", min_width=0)
    form.add(f"sampling/{name}", made)


def _choice(form: Form, name: str, label: Any) -> None:
    """A list of the names that A1111 and the papers have for what may be chosen."""
    info = Sampling.model_fields[name]
    named = [*get_args(info.annotation)]
    made = gr.Dropdown(named, value=info.default, label=label, elem_id=f"{form.tab}_sampling_{name}", min_width=0)
    form.add(f"sampling/{name}", made)
