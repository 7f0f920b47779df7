// The buttons beside the list of styles, and the dialog about them.
// Gradio runs this once for each of its panels, as the body of a function of `element`, `trigger` and `watch`.

const tab = element.closest('.studio').id;
const prompt = (name) => document.querySelector(`#${tab}_${name} textarea`)?.value ?? '';

// The dialog is the browser's own: it keeps the focus, and Escape closes it.
watch('value', () => {
  const dialog = element.querySelector('dialog');
  if (dialog && !dialog.open) dialog.showModal();
});
const told = (sheet) => sheet ? {...sheet.dataset, ...Object.fromEntries(new FormData(sheet))} : {};
element.addEventListener('submit', (event) => event.preventDefault());
element.addEventListener('change', (event) => {
  if (event.target.name === 'pick') trigger('act', {act: 'pick', pick: event.target.value});
});
element.addEventListener('click', (event) => {
  const at = (selector) => event.target.closest(selector);
  const dialog = at('dialog');
  const act = at('[data-act]');
  if (event.target === dialog || at('[data-close]')) dialog.close();
  else if (at('[data-take]')) {
    for (const name of ['prompt', 'negative_prompt']) dialog.querySelector(`[name=${name}]`).value = prompt(name);
  } else if (act) {
    const sheet = act.closest('form');
    if (act.dataset.act !== 'save' || sheet.reportValidity()) trigger('act', {...told(sheet), ...act.dataset});
  }
});
