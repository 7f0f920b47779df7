"""A panel of the page that the server writes and whose buttons are Gradio events."""

import gradio as gr

# A control with `data-act` becomes the event `act`, with everything its `data-` attributes say. What a panel says with
# `data-title` stands before the page's name in the browser's tab.
ACT = """
element.addEventListener('click', (event) => {
  const control = event.target.closest('[data-act]');
  if (control && element.contains(control)) trigger('act', {...control.dataset});
});
watch('value', () => {
  const titled = element.querySelector('[data-title]');
  if (titled) document.title = `${titled.dataset.title} Easel`.trim();
});
"""


def panel(elem_id: str) -> gr.HTML:
    """Return an empty panel; listen to its buttons with `panel.act(handler, ...)`.

    Its value is HTML from `modules.ui.markup`. Never use Gradio's templates for what people wrote: they evaluate
    `${...}` in it as JavaScript.
    """
    return gr.HTML("", elem_id=elem_id, js_on_load=ACT, apply_default_css=False, elem_classes="panel")
