// The gallery: asks for pictures as one searches and scrolls, and does what is wanted with those that are chosen.
// Gradio runs this once, as the body of a function of `element`, `trigger` and `watch`. What the page shows and what is
// chosen is in the page alone; the server is asked by address, and names pictures by their ids.

const board = () => element.querySelector('.board');
const at = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const say = (name, count) => JSON.parse(board().dataset.words)[name].replace('{count}', count?.toLocaleString());
const seen = () => element.isConnected && element.offsetParent !== null && !document.hidden;

// One search is shown at a time: what an earlier one is answered late is dropped.
let turn = 0;
let next = null; // the id below which the next page lies; null: not asked yet, '': there is none
let newest = 0;
let until = 0;
let asking = false;
let anchor = null;
let undo = null;

const told = async (path, options) => {
  const answer = await fetch(`/easel/gallery${path}`, options).catch(() => null);
  if (answer?.ok) return answer;
  const body = await answer?.json().catch(() => null);
  throw new Error(body?.message ?? say('failed'));
};
const post = async (act, body) => (await told(`/${act}`, {
  method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(body),
})).json();

// The search, as its controls have it.
const query = (more = {}) => {
  const asked = new URLSearchParams();
  const form = at('.gallery-search');
  for (const [name, value] of form ? new FormData(form) : []) {
    if (!value) continue;
    if (name === 'size') value.split('x').forEach((side, place) => asked.set(['width', 'height'][place], side));
    else asked.set(name, value);
  }
  if (board().hasAttribute('data-bin')) asked.set('trash', 'true');
  for (const [name, value] of Object.entries(more)) asked.set(name, value);
  return asked;
};
const parsed = (html) => {
  const holder = document.createElement('template');
  holder.innerHTML = html;
  return holder.content;
};
const page = async (more) => {
  const mine = turn;
  const content = parsed(await (await told(`/cells?${query(more)}`)).text());
  if (mine !== turn) return null;
  const told_of = content.firstElementChild.dataset;
  if (told_of.hits) at('.hits').textContent = told_of.hits;
  newest = Math.max(newest, Number(told_of.newest));
  until = Number(told_of.until);
  return {cells: [...content.firstElementChild.children], word: content.children[1], next: told_of.next};
};

// What could not be had is asked for again, but not at once.
let again = false;
const failed = (error) => {
  notice(error.message);
  again = true;
};

// From the newest on.
const search = async () => {
  turn += 1;
  asking = true;
  const mine = turn;
  newest = 0;
  try {
    const found = await page();
    if (!found) return;
    next = found.next;
    at('.grid').replaceChildren(...(found.word ? [found.word] : found.cells));
    anchor = null;
    chosen();
  } catch (error) {
    failed(error);
    return;
  } finally {
    if (mine === turn) asking = false;
  }
  look_on();
};
const more = async () => {
  if (asking) return;
  if (next === null) {
    await Promise.all([choices().catch(() => {}), search()]);
    return;
  }
  if (!next) return;
  asking = true;
  const mine = turn;
  try {
    const found = await page({before: next});
    if (!found) return;
    next = found.next;
    at('.grid').append(...found.cells);
  } catch (error) {
    failed(error);
    return;
  } finally {
    if (mine === turn) asking = false;
  }
  look_on();
};
// The observer speaks when the end comes near; while it stays near, it is asked again.
const observer = new IntersectionObserver((found) => {
  if (found.some((each) => each.isIntersecting)) more();
}, {rootMargin: '1200px'});
const look_on = () => {
  const end = at('.end');
  if (!end) return;
  observer.unobserve(end);
  observer.observe(end);
};

// What there is to choose from changes; what is chosen and what is being typed stays.
const choices = async () => {
  const mine = turn;
  const fresh = parsed(await (await told(`/filters?${query()}`)).text());
  if (mine > turn) return;
  const form = at('.gallery-search');
  if (!form) {
    at('.filters').replaceChildren(fresh);
    return;
  }
  for (const list of fresh.querySelectorAll('select')) {
    const mine_now = form.elements[list.name];
    if (!mine_now) form.querySelector('select').before(list);
    else if (mine_now.innerHTML !== list.innerHTML) {
      const value = mine_now.value;
      mine_now.innerHTML = list.innerHTML;
      mine_now.value = value;
    }
  }
  form.querySelector('.bin').replaceChildren(...fresh.querySelector('.bin').children);
};

// News: what is newer than the newest on the page is put before it.
const news = async () => {
  if (!seen() || asking || next === null || board().hasAttribute('data-bin')) return;
  const mine = turn;
  const found = await page({after: newest}).catch(() => null);
  if (!found?.cells.length || asking || mine !== turn) return;
  if (found.next) {
    search();
    return;
  }
  at('.networks-empty')?.remove();
  at('.grid').prepend(...found.cells);
  choices().catch(() => {});
};
const beat = setInterval(() => {
  if (!element.isConnected) clearInterval(beat);
  else if (again && seen()) {
    again = false;
    look_on();
  } else news();
}, 2500);

// Which are chosen.
const cell_of = (id) => at(`.cell[data-id="${id}"]`);
const picked = () => all('.cell:has(.pick input:checked)');
const ids_of = (cells) => cells.map((cell) => Number(cell.dataset.id));
const pick = (cell, on) => {
  cell.querySelector('.pick input').checked = on;
};
const reach = (cell) => {
  const cells = all('.cell');
  const ends = [cells.indexOf(anchor), cells.indexOf(cell)].sort((one, other) => one - other);
  return ends[0] < 0 ? [cell] : cells.slice(ends[0], ends[1] + 1);
};
const chosen = () => {
  const cells = picked();
  const bulk = at('.bulk');
  bulk.hidden = !cells.length;
  at('.chosen').textContent = say('selected', cells.length);
  at('[data-do=compare]').disabled = cells.length !== 2;
  for (const sender of bulk.querySelectorAll('[data-send]')) sender.dataset.picture = ids_of(cells).join();
  const same = cells.length && cells.every((cell) => cell.dataset.rating === cells[0].dataset.rating);
  shine(bulk.querySelector('.stars'), same ? Number(cells[0].dataset.rating) : 0);
};
const shine = (stars, rating) => {
  stars.dataset.rating = rating;
  for (const star of stars.children) star.setAttribute('aria-pressed', Number(star.dataset.rate) <= rating);
};
const selecting = (on) => {
  board().toggleAttribute('data-selecting', on);
  at('[data-do=select]').setAttribute('aria-pressed', on);
};

// A word about what was done, in reach of whoever did it: in the open dialog, if there is one.
const notice = (text, way_back = null) => {
  const note = board().querySelector('.notice') ?? document.querySelector('dialog .notice');
  (document.querySelector('#gallery dialog[open]') ?? board()).append(note);
  note.querySelector('span').textContent = text;
  note.querySelector('.undo').hidden = !way_back;
  note.hidden = false;
  undo = way_back;
};
// It is told behind the dialogs again.
const settle = () => {
  const note = document.querySelector('#gallery .notice');
  board().append(note);
  return note;
};
const quiet = () => {
  settle().hidden = true;
};
const sure = (text) => new Promise((answer) => {
  const dialog = at('.confirm');
  dialog.querySelector('p').textContent = text;
  dialog.returnValue = '';
  dialog.addEventListener('close', () => answer(dialog.returnValue === 'yes'), {once: true});
  dialog.showModal();
});

const recount = () => Promise.all([page({limit: 1}), choices()]).catch(() => {});

// What is done. Cells that go are kept as long as there is a way back.
const taken_out = (ids) => {
  const cells = ids.map(cell_of).filter(Boolean);
  for (const cell of cells) {
    pick(cell, false);
    cell.remove();
  }
  chosen();
  if (!at('.cell') && !next) search();
  else look_on();
  recount();
  return cells;
};
const put_back = (cells) => {
  at('.networks-empty')?.remove();
  for (const cell of cells) {
    const after = all('.cell').find((each) => Number(each.dataset.id) < Number(cell.dataset.id));
    if (after) after.before(cell);
    else at('.grid').append(cell);
  }
  recount();
};
const acts = {
  trash: async (ids) => {
    const binned = board().hasAttribute('data-bin');
    const moved = await post('trash', {ids});
    const cells = taken_out(moved.ids);
    const mine = turn;
    const back = async () => {
      const restored = await post('restore', {ids: moved.ids});
      if (mine === turn && !binned) put_back(cells);
      else search();
      notice(say('restored', restored.ids.length));
    };
    if (moved.ids.length) notice(say('trashed', moved.ids.length), back);
    else notice(say('gone', moved.gone.length));
  },
  restore: async (ids) => {
    const moved = await post('restore', {ids});
    taken_out(moved.ids);
    if (moved.ids.length) notice(say('restored', moved.ids.length));
    else notice(say('gone', moved.gone.length));
  },
  delete: async (ids) => {
    if (!await sure(say('confirm_delete', ids.length))) return;
    const gone = (await post('delete', {ids})).ids;
    taken_out(gone);
    notice(say('deleted', gone.length));
  },
  drop: async (ids) => {
    const gone = (await post('drop', {ids})).ids;
    taken_out(gone);
    notice(say('dropped', gone.length));
  },
  empty: async () => {
    if (!await sure(say('confirm_empty'))) return;
    const gone = await post('empty', {until});
    await Promise.all([search(), choices()]);
    notice(say('deleted', gone.deleted));
  },
  rate: async (ids, rating) => {
    await post('rate', {ids, rating});
    for (const cell of ids.map(cell_of).filter(Boolean)) {
      cell.dataset.rating = rating;
      cell.querySelector('.rated')?.remove();
      if (!rating) continue;
      const mark = document.createElement('span');
      mark.className = 'rated';
      mark.textContent = '★'.repeat(rating);
      cell.append(mark);
    }
    chosen();
  },
  tag: async (ids, sign, tag) => {
    const told_of = await post('tag', {ids, [sign]: [tag]});
    choices().catch(() => {});
    return told_of.tags;
  },
  download: (ids) => {
    if (ids.length > Number(board().dataset.most)) {
      notice(say('too_many', ids.length));
      return;
    }
    const form = document.createElement('form');
    form.method = 'post';
    form.action = '/easel/gallery/download';
    form.target = 'gallery_download';
    const field = form.appendChild(document.createElement('input'));
    field.type = 'hidden';
    field.name = 'ids';
    field.value = ids.join();
    element.append(form);
    form.submit();
    form.remove();
  },
  compare: (ids) => window.easel.gallery.compare(...ids),
};
const perform = async (act, ...more_of_it) => {
  try {
    return await acts[act](...more_of_it);
  } catch (error) {
    notice(error.message);
    return null;
  }
};
// The dialogs use the same acts, and go from picture to picture in the order of the page.
const neighbour = async (id, step) => {
  const cell = cell_of(id);
  const side = step > 0 ? 'nextElementSibling' : 'previousElementSibling';
  if (step > 0 && cell && !cell[side]) await more();
  return cell?.[side]?.dataset.id;
};
window.easel.gallery = {...window.easel.gallery, perform, neighbour, told, parsed, settle, shine};

// Controls.
const controls = {
  reset: () => {
    const form = at('.gallery-search');
    for (const control of form.elements) if ('value' in control && control.type !== 'button') control.value = '';
    search();
  },
  more: (button) => {
    const open = at('.gallery-search').toggleAttribute('data-open');
    button.setAttribute('aria-expanded', open);
  },
  bin: (button) => {
    const on = board().toggleAttribute('data-bin');
    button.setAttribute('aria-pressed', on);
    selecting(false);
    search();
  },
  select: () => selecting(!board().hasAttribute('data-selecting')),
  all: () => {
    all('.cell').forEach((cell) => pick(cell, true));
    chosen();
  },
  none: () => {
    picked().forEach((cell) => pick(cell, false));
    selecting(false);
    chosen();
  },
  undo: () => {
    const back = undo;
    quiet();
    undo = null;
    back?.().catch((error) => notice(error.message));
  },
  quiet,
  empty: () => perform('empty'),
};
let settling;
element.addEventListener('input', (event) => {
  if (!event.target.closest('.gallery-search')) return;
  clearTimeout(settling);
  settling = setTimeout(search, event.target.type === 'search' ? 200 : 0);
});
element.addEventListener('submit', (event) => {
  if (event.target.closest('.confirm')) return;
  event.preventDefault();
  const tag = event.target.elements.tag?.value.trim();
  if (tag) {
    perform('tag', ids_of(picked()), event.submitter.dataset.sign, tag).then((tags) => {
      if (tags) event.target.reset();
    });
  } else if (event.target.matches('.gallery-search')) {
    clearTimeout(settling);
    search();
  }
});
// A click with Shift reaches from the one before, with Ctrl or while selecting it chooses one more; else it opens.
element.addEventListener('click', (event) => {
  const [opener, box, star, button] =
    ['.cell .open', '.pick input', '.bulk [data-rate]', '[data-do]'].map((selector) => event.target.closest(selector));
  const cell = event.target.closest('.cell');
  if (box) {
    if (event.shiftKey && anchor) reach(cell).forEach((each) => pick(each, box.checked));
    anchor = cell;
    chosen();
  } else if (opener) {
    const on = !cell.querySelector('.pick input').checked;
    if (event.shiftKey) reach(cell).forEach((each) => pick(each, true));
    else if (event.ctrlKey || event.metaKey || board().hasAttribute('data-selecting')) pick(cell, on);
    else {
      anchor = cell;
      window.easel.gallery.open(cell.dataset.id);
      return;
    }
    if (!event.shiftKey) anchor = cell;
    chosen();
  } else if (star) {
    const rating = Number(star.dataset.rate);
    perform('rate', ids_of(picked()), star.parentElement.dataset.rating === `${rating}` ? 0 : rating);
  } else if (button && button.dataset.do in controls) controls[button.dataset.do](button);
  else if (button) perform(button.dataset.do, ids_of(picked()));
});
// By keyboard: arrows go from picture to picture, digits give stars, Delete moves into the trash.
element.addEventListener('keydown', (event) => {
  const cell = event.target.closest('.cell');
  if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
  const cells = all('.cell');
  const row = getComputedStyle(at('.grid')).gridTemplateColumns.split(' ').length;
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row}[event.key];
  const there = step && cells[cells.indexOf(cell) + step];
  if (there) {
    event.preventDefault();
    there.querySelector('.open').focus();
  } else if (/^[0-5]$/.test(event.key) && !board().hasAttribute('data-bin')) {
    perform('rate', [Number(cell.dataset.id)], Number(event.key));
  } else if (event.key === 'Delete' && !board().hasAttribute('data-bin')) {
    const beside = cell.nextElementSibling ?? cell.previousElementSibling;
    perform('trash', [Number(cell.dataset.id)]).then(() => beside?.querySelector('.open')?.focus());
  }
});
// A picture that cannot be shown leaves no broken mark behind.
element.addEventListener('error', (event) => {
  if (event.target.matches?.('.cell img')) {
    event.target.closest('.cell').classList.add('gone');
    event.target.replaceWith(say('gone_one'));
  }
}, true);

const begin = () => {
  if (!board()) return;
  turn += 1;
  next = null;
  asking = false;
  look_on();
};
watch('value', begin);
begin();
