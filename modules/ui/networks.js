// The browser of the models folder: what its controls ask the server for, and what its cards do to the prompt.
// Gradio runs this once for each of its panels, as the body of a function of `element`, `trigger` and `watch`.

const tab = element.closest('.studio').id;
const box = (name) => document.querySelector(`#${tab}_${name} textarea`);
const boxes = () => [box('prompt'), box('negative_prompt')].filter(Boolean);

// The controls. Their state is sent whole and through a hidden field, of which Gradio sends the last value it has: what
// a custom event carries, it forgets when another one is still on its way.
const told = (control) => control.type === 'checkbox' ? control.checked
  : control.tagName === 'BUTTON' ? control.getAttribute('aria-pressed') === 'true' : control.value;
const look = (more = {}) => {
  const state = {};
  for (const control of element.querySelectorAll('[data-state]')) state[control.dataset.state] = told(control);
  const open = element.querySelector('[data-kind][aria-selected=true]');
  write(document.querySelector(`#${tab}_networks_wish :is(textarea, input)`), JSON.stringify({kind: open?.dataset.kind ?? '', ...state, ...more, at: Date.now()}));
};
let settling;
element.addEventListener('input', (event) => {
  if (!event.target.closest('[data-state]')) return;
  clearTimeout(settling);
  settling = setTimeout(look, event.target.type === 'search' ? 200 : 0);
});

// The prompt. A tag may carry any weight, a word must stand by itself.
const plain = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const pattern = ({take, name, alias}) => {
  const names = [name, alias].filter(Boolean).map(plain).join('|');
  const kind = take === 'lora' ? '(?:lora|lyco)' : plain(take);
  return take === 'word' ? new RegExp(`(?<![\\p{L}\\p{N}_-])(?:${names})(?![\\p{L}\\p{N}_-])`, 'iu')
    : new RegExp(`<${kind}:\\s*(?:${names})\\s*(?::[^>]*)?>`, 'iu');
};
const taken = (card) => boxes().some((each) => pattern(card.dataset).test(each.value));
const write = (field, text) => {
  if (!field || field.value === text) return;
  field.value = text;
  field.dispatchEvent(new Event('input', {bubbles: true}));
};
const SEPARATOR = window.easel.settings.separator;
const bare = (text) => { // without a separator at its ends
  const sign = SEPARATOR.trim();
  let left = text.trim();
  if (sign && left.startsWith(sign)) left = left.slice(sign.length);
  if (sign && left.endsWith(sign)) left = left.slice(0, -sign.length);
  return left.trim();
};
const joined = (...texts) => texts.map(bare).filter(Boolean).join(SEPARATOR);
const without = (text, what) => {
  const at = text.search(what);
  if (at < 0) return text;
  return joined(text.slice(0, at), text.slice(at).replace(what, ''));
};
const take = (card) => {
  const {take: kind, name, weight, words, negative} = card.dataset;
  const said = [[box('prompt'), words], [box('negative_prompt'), negative]];
  if (taken(card)) {
    for (const each of boxes()) write(each, without(each.value, pattern(card.dataset)));
    for (const [field, text] of said) if (text) write(field, without(field.value, new RegExp(plain(text.trim()), 'u')));
    return;
  }
  const tag = kind === 'word' ? name : `<${kind}:${name}:${weight}>`;
  const field = kind === 'word' && window.easel.prompt === `${tab}_negative_prompt` ? box('negative_prompt') : box('prompt');
  write(field, joined(field.value, tag));
  for (const [other, text] of said) if (text) write(other, joined(other.value, text));
};
const mark = () => {
  for (const card of element.querySelectorAll('[data-take]')) card.setAttribute('aria-pressed', taken(card));
};
document.addEventListener('focusin', (event) => {
  const name = event.target.closest?.(`#${tab}_prompt, #${tab}_negative_prompt`)?.id;
  if (name) window.easel.prompt = name;
});
document.addEventListener('input', (event) => {
  if (boxes().includes(event.target)) mark();
});

// The dialog is the browser's own: it keeps the focus, and Escape closes it.
watch('value', () => {
  mark();
  const dialog = element.querySelector('dialog');
  if (dialog && !dialog.open) dialog.showModal();
});
element.addEventListener('submit', (event) => event.preventDefault());
element.addEventListener('click', (event) => {
  const at = (selector) => event.target.closest(selector);
  const dialog = at('dialog');
  const [kind, button, card, word, act] =
    ['[data-kind][role=tab]', 'button[data-state]', '[data-take]', '[data-word]', '[data-act]'].map(at);
  if (event.target === dialog || at('[data-close]')) dialog.close();
  else if (kind) {
    look({kind: kind.getAttribute('aria-selected') === 'true' ? '' : kind.dataset.kind, words: '', folder: ''});
  } else if (button) {
    button.setAttribute('aria-pressed', button.getAttribute('aria-pressed') !== 'true');
    look();
  } else if (card) {
    take(card);
  } else if (word) {
    const area = dialog.querySelector('[name=trigger_words]');
    area.value = [area.value.replace(/[\s,]+$/, ''), word.dataset.word].filter(Boolean).join(', ');
  } else if (act) {
    const sheet = act.closest('form');
    if (act.dataset.act === 'close') look({kind: ''});
    else if (act.dataset.act === 'choose') trigger('choose', {...act.dataset});
    else if (!sheet) trigger('act', {...act.dataset});
    else if (sheet.reportValidity()) {
      trigger('act', {...sheet.dataset, ...Object.fromEntries(new FormData(sheet)), act: act.dataset.act});
    }
  }
});
mark();
