// The Settings tab. Gradio runs this once, when the tab is first in front, as the body of a function of `element`,
// `trigger` and `watch`. What is changed is sent by name, once, when a person says so.

const options = () => [...element.querySelectorAll('.option')];
const read = (option) => {
  const {kind} = option.dataset;
  if (kind === 'row') return [...option.querySelectorAll('input:checked')].map((each) => each.value);
  const control = option.querySelector('input, select');
  if (kind === 'switch') return control.checked;
  return ['whole', 'number'].includes(kind) && control.value !== '' ? Number(control.value) : control.value;
};
const write = (option, value) => {
  if (option.dataset.kind === 'row') {
    const list = option.querySelector('ol');
    for (const box of list.querySelectorAll('input')) box.checked = value.includes(box.value);
    for (const name of [...value].reverse()) {
      list.prepend([...list.children].find((each) => each.querySelector('input').value === name));
    }
    return;
  }
  const control = option.querySelector('input, select');
  if (option.dataset.kind === 'switch') control.checked = value;
  else control.value = value;
};

// What was changed and not applied yet stays as it was typed when the tab is written anew.
const changed = new Map();
const compare = () => {
  for (const option of options()) {
    const value = read(option);
    const same = JSON.stringify(value) === JSON.stringify(JSON.parse(option.dataset.value));
    option.classList.toggle('changed', !same);
    if (same) changed.delete(option.dataset.key);
    else changed.set(option.dataset.key, value);
  }
  const apply = element.querySelector('[data-apply]');
  if (apply) apply.disabled = changed.size === 0;
};

let sought = '';
const search = () => {
  const wanted = sought.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const option of options()) {
    const fits = wanted.every((word) => option.dataset.find.includes(word));
    option.hidden = !fits;
    found += fits;
  }
  for (const section of element.querySelectorAll('section')) {
    const own = [...section.querySelectorAll('.option')];
    section.hidden = wanted.length > 0 && own.every((each) => each.hidden);
  }
  const said = element.querySelector('.found');
  if (said) said.textContent = wanted.length ? String(found) : '';
};

const settled = async () => {
  for (let tries = 0; tries < 50 && window.easel.waiting(); tries++) await new Promise((go) => setTimeout(go, 100));
};
const ask = (act, more = {}) => trigger('act', {act, ...more});
const take = async (file) => {
  if (file) ask('import', {text: await file.slice(0, 4_000_004).text()}); // more than the server reads
};

watch('value', () => {
  if (element.querySelector('[data-again]')) {
    window.easel.forget();
    location.reload();
    return;
  }
  const box = element.querySelector('[data-search]');
  if (box) box.value = sought;
  for (const option of options()) {
    if (changed.has(option.dataset.key)) write(option, changed.get(option.dataset.key));
  }
  compare();
  search();
});

element.addEventListener('input', ({target}) => {
  if (target.matches('[data-search]')) {
    sought = target.value;
    search();
  } else if (target.type === 'file') {
    take(target.files[0]);
    target.value = '';
  } else {
    compare();
  }
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && event.target.closest('.option') && changed.size) element.querySelector('[data-apply]').click();
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || button.disabled) return;
  const {reset, move, act, tab} = button.dataset;
  if ('apply' in button.dataset) {
    ask('apply', {values: JSON.stringify(Object.fromEntries(changed))});
  } else if (reset) {
    changed.delete(reset);
    ask('apply', {values: JSON.stringify({[reset]: null})});
  } else if (move) {
    const item = button.closest('li');
    if (move === 'up') item.previousElementSibling?.before(item);
    else item.nextElementSibling?.after(item);
    button.focus();
    compare();
  } else if (act) {
    // A field that was left a moment ago is still on its way: what is done to its form comes after that.
    button.disabled = true;
    (tab ? settled() : Promise.resolve()).then(() => ask(act, {tab: tab ?? ''}));
    setTimeout(() => { button.disabled = false; }, 5000); // where the answer is a refusal, the tab stays as it is
  }
});
for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop']) {
  element.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    event.stopPropagation();
    element.querySelector('.drop')?.classList.toggle('over', kind === 'dragenter' || kind === 'dragover');
    if (kind === 'drop') take(event.dataTransfer.files[0]);
  });
}
ask('open');
