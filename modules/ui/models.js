// The Models tab: what its panels ask the server for. Gradio runs this once for each of them, as the body of a function
// of `element`, `trigger` and `watch`.

// News are asked for while somebody looks, more often while something is on its way.
const leads = element.closest('#models_memory') !== null;
const seen = () => element.isConnected && element.offsetParent !== null && !document.hidden;
const busy = () => document.querySelector('#models :is(.download:is(.waiting, .asking, .loading, .checking), .holder.loading)');
if (leads) {
  let last = 0;
  const beat = setInterval(() => {
    if (!element.isConnected) clearInterval(beat);
    else if (seen() && Date.now() - last > (busy() ? 700 : 2400)) {
      last = Date.now();
      trigger('tick', {});
    }
  }, 350);
}

// The controls of the table are sent whole, so that of two quick changes none is lost.
const look = (more = {}) => {
  const bar = document.getElementById('models_bar');
  const state = {kind: bar.querySelector('[data-kind][aria-pressed=true]')?.dataset.kind ?? ''};
  for (const control of bar.querySelectorAll('[data-state]')) state[control.dataset.state] = control.value;
  trigger('look', {...state, offset: 0, ...more});
};
let settling;
element.addEventListener('input', (event) => {
  clearTimeout(settling);
  const form = event.target.closest('form');
  if (form) {
    settling = setTimeout(() => trigger('ask', Object.fromEntries(new FormData(form))), 250);
  } else if (event.target.closest('[data-state]')) {
    settling = setTimeout(look, event.target.type === 'search' ? 200 : 0);
  }
});
// What was asked for is asked for: the form is new, and empty.
watch('value', () => element.querySelector('form')?.reset());
element.addEventListener('submit', (event) => {
  event.preventDefault();
  clearTimeout(settling);
  const values = Object.fromEntries(new FormData(event.target));
  if (values.address.trim()) trigger('act', {...values, act: 'add'});
  else event.target.elements.address.focus();
});
element.addEventListener('click', async (event) => {
  const [kind, sort, act, clip] =
    ['[data-kind]', '[data-sort]', '[data-act]', '[data-clip]'].map((selector) => event.target.closest(selector));
  if (kind) {
    for (const each of element.querySelectorAll('[data-kind]')) each.setAttribute('aria-pressed', each === kind);
    look();
  } else if (sort) {
    const order = sort.closest('th').getAttribute('aria-sort');
    trigger('look', {sort: sort.dataset.sort, turn: order !== null, offset: 0});
  } else if (clip) {
    await navigator.clipboard?.writeText(clip.dataset.clip);
    clip.classList.add('did');
    setTimeout(() => clip.classList.remove('did'), 1200);
  } else if (act) {
    trigger('act', {...act.dataset});
  }
});
