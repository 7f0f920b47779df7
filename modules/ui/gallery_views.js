// The dialogs of the gallery: one picture with everything about it, and two pictures compared. Gradio runs this once,
// as the body of a function of `element`, `trigger` and `watch`.

const dialog = (name) => element.querySelector(`dialog.gallery-${name}`);
const gallery = () => window.easel.gallery;
const filled = async (name, path) => {
  const sheet = dialog(name);
  const html = await (await gallery().told(path)).text();
  gallery().settle();
  sheet.replaceChildren(gallery().parsed(html));
  if (!sheet.open) sheet.showModal();
  return sheet;
};

// One picture.
const id_of = () => Number(dialog('details').querySelector('.view').dataset.id);
const open = async (id, focus = '') => {
  const sheet = await filled('details', `/details/${id}`).catch(() => null);
  if (!sheet) return;
  for (const [name, step] of [['previous', -1], ['next', 1]]) {
    const button = sheet.querySelector(`[data-do=${name}]`);
    gallery().neighbour(id, step).then((there) => { button.disabled = !there; });
  }
  sheet.querySelector(focus || '.shown .open, [data-do=close]')?.focus();
};
const step = async (way) => {
  const there = await gallery().neighbour(id_of(), way);
  if (there) await open(there, way > 0 ? '[data-do=next]' : '[data-do=previous]');
};
// What goes away makes room for the one after it, or before it.
const done_with = async (act) => {
  const id = id_of();
  const there = await gallery().neighbour(id, 1) ?? await gallery().neighbour(id, -1);
  await gallery().perform(act, [id]);
  const still = document.querySelector(`#gallery_board .cell[data-id="${id}"]`);
  if (still) return;
  if (!there) {
    dialog('details').close();
    return;
  }
  await open(there);
  dialog('details').append(gallery().settle());
};
const rate = async (rating) => {
  const stars = dialog('details').querySelector('.stars');
  if (!stars) return;
  await gallery().perform('rate', [id_of()], rating);
  gallery().shine(stars, rating);
};
const tag = async (sign, text) => {
  const id = id_of();
  if (await gallery().perform('tag', [id], sign, text)) await open(id, '[name=tag]');
};

// Two pictures: zoomed and moved alike.
const view = {zoom: 1, x: 0, y: 0};
const panes = () => dialog('compare').querySelector('.panes');
const show = () => {
  const box = panes();
  const most = (view.zoom - 1) / 2;
  for (const side of ['x', 'y']) view[side] = Math.max(-most, Math.min(most, view[side]));
  box.style.setProperty('--zoom', view.zoom);
  box.style.setProperty('--x', `${view.x * 100}%`);
  box.style.setProperty('--y', `${view.y * 100}%`);
};
const zoom = (factor) => {
  view.zoom = Math.max(1, Math.min(16, view.zoom * factor));
  show();
};
const split = (percent) => {
  const range = panes().querySelector('.split');
  range.value = percent;
  panes().style.setProperty('--split', `${range.value}%`);
};
const compare = async (one, other) => {
  const sheet = await filled('compare', `/compare/${one}/${other}`).catch(() => null);
  if (!sheet) return;
  Object.assign(view, {zoom: 1, x: 0, y: 0});
  show();
  split(50);
  sheet.querySelector('[data-way]').focus();
};
window.easel.gallery = {...window.easel.gallery, open, compare};

const controls = {
  previous: () => step(-1),
  next: () => step(1),
  trash: () => done_with('trash'),
  restore: () => done_with('restore'),
  delete: () => done_with('delete'),
  drop: () => done_with('drop'),
  smaller: () => zoom(1 / 1.5),
  larger: () => zoom(1.5),
  close: (button) => button.closest('dialog').close(),
};
element.addEventListener('click', (event) => {
  const [button, star, untag, way] =
    ['[data-do]', '[data-rate]', '[data-untag]', '[data-way]'].map((selector) => event.target.closest(selector));
  if (event.target.matches('dialog')) event.target.close();
  else if (star) rate(star.parentElement.dataset.rating === star.dataset.rate ? 0 : Number(star.dataset.rate));
  else if (untag) tag('remove', untag.dataset.untag);
  else if (way) {
    for (const each of element.querySelectorAll('[data-way]')) each.setAttribute('aria-pressed', each === way);
    dialog('compare').querySelector('.both').className = `both ${way.dataset.way}`;
  } else if (button?.dataset.do === 'undo') {
    // The board undoes what it did.
    controls.undo();
    document.querySelector('#gallery_board .notice .undo').click();
  } else if (button) controls[button.dataset.do]?.(button);
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const text = event.target.elements.tag.value.trim();
  if (text) tag('add', text);
});
element.addEventListener('keydown', (event) => {
  const typing = event.target.matches('input:not([type=range])');
  const sheet = event.target.closest('dialog');
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (sheet?.matches('.gallery-details')) {
    if (event.key === 'ArrowLeft') step(-1);
    else if (event.key === 'ArrowRight') step(1);
    else if (/^[0-5]$/.test(event.key)) rate(Number(event.key));
    else if (event.key === 'Delete') sheet.querySelector('[data-do=trash]')?.click();
  } else if (sheet) {
    if (event.key === '+') zoom(1.5);
    else if (event.key === '-') zoom(1 / 1.5);
  }
});
element.addEventListener('close', () => gallery().settle(), true);

// The pointer moves the line between the two, and a picture that is larger than its place.
element.addEventListener('input', (event) => {
  if (event.target.matches('.split')) split(event.target.value);
});
element.addEventListener('wheel', (event) => {
  if (!event.target.closest('.panes')) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.25 : 1 / 1.25);
}, {passive: false});
element.addEventListener('pointerdown', (event) => {
  const figure = event.target.closest('.panes figure');
  if (!figure || event.button) return;
  const box = figure.getBoundingClientRect();
  const over = dialog('compare').querySelector('.both').matches('.over');
  const start = {x: event.clientX, y: event.clientY, of: {...view}};
  const move = (to) => {
    if (view.zoom > 1) {
      view.x = start.of.x + (to.clientX - start.x) / box.width;
      view.y = start.of.y + (to.clientY - start.y) / box.height;
      show();
    } else if (over) split((to.clientX - box.left) / box.width * 100);
  };
  panes().setPointerCapture(event.pointerId);
  panes().addEventListener('pointermove', move);
  panes().addEventListener('pointerup', () => panes().removeEventListener('pointermove', move), {once: true});
});
