// What no Gradio component does: shortcuts, the full-size view, copying, and saving what a page that goes away had typed.
(() => {
  const [forms, words, theme, settings] = ['forms', 'words', 'theme', 'settings'].map(
    (name) => JSON.parse(document.getElementById(`easel-${name}`).textContent));
  const say = words[navigator.language.split('-')[0]] ?? words.en;
  document.documentElement.lang = navigator.language;

  // The tab in front that makes pictures.
  const tab = () => [...document.querySelectorAll('.studio')].find((each) => each.offsetParent)?.id ?? 'txt2img';
  const press = (name) => document.getElementById(`${tab()}_${name}`)?.click();

  // Shortcuts. A list, a menu or the full-size view takes Escape for itself.
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      press('generate');
    } else if (event.key === 'Enter' && event.altKey) {
      event.preventDefault();
      press('skip');
    } else if (event.key === 'Escape' && !document.querySelector('dialog[open], ul.options, [role=listbox], #easel-menu:not([hidden])')) {
      press('interrupt');
    }
  }, true);

  // The full-size view: the browser's own dialog, which closes on Escape and keeps the focus.
  const zoom = document.createElement('dialog');
  zoom.id = 'easel-zoom';
  let ours = true; // whether what it shows is the studio's picture, with the others beside it
  const large = zoom.appendChild(document.createElement('img'));
  large.alt = '';
  const close = zoom.appendChild(document.createElement('button'));
  close.type = 'button';
  close.textContent = '×';
  close.setAttribute('aria-label', say.close);
  zoom.addEventListener('click', () => zoom.close());
  zoom.addEventListener('keydown', (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step || !ours) return;
    const thumbs = [...document.querySelectorAll(`#${tab()}_strip [data-picture]:not(.now)`)];
    const at = thumbs.findIndex((each) => each.getAttribute('aria-pressed') === 'true');
    const next = thumbs[at + step];
    if (next) next.click();
  });
  const follow = new MutationObserver(() => {
    const opener = document.querySelector(`#${tab()}_stage [data-zoom]`);
    if (zoom.open && ours && opener && large.getAttribute('src') !== opener.dataset.zoom) large.src = opener.dataset.zoom;
  });

  document.addEventListener('click', async (event) => {
    const opener = event.target.closest('[data-zoom]');
    if (opener) {
      ours = opener.closest(`#${tab()}`) !== null;
      large.src = opener.dataset.zoom;
      zoom.showModal();
    }
    const copier = event.target.closest('[data-copy]');
    if (copier) {
      const around = copier.closest('.parameters') ?? document;
      await navigator.clipboard.writeText(around.querySelector(copier.dataset.copy).textContent);
      copier.classList.add('did');
      setTimeout(() => copier.classList.remove('did'), 1200);
    }
  });

  // A button in a panel stands for one of Gradio's, which brings the fields of its tab along.
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-press]');
    if (button) document.getElementById(button.dataset.press)?.click();
  });

  // A button drawn as an icon says its name when pointed at.
  document.addEventListener('mouseover', (event) => {
    const button = event.target.closest?.('button.tool:not([title])');
    if (button) button.title = button.textContent.trim();
  });

  // On a phone, what begins is brought into sight.
  document.addEventListener('click', (event) => {
    if (event.target.closest('[id$=_generate]') && matchMedia('(max-width: 760px)').matches) {
      document.getElementById(`${tab()}_stage`).scrollIntoView({behavior: 'smooth', block: 'nearest'});
    }
  });

  // Gradio saves the form as it changes. What was typed while the server was away is sent when the page goes.
  const unsaved = new Map(Object.keys(forms).map((name) => [name, new Set()]));
  // What is typed before the server has given a form its last values is put back over them.
  const restored = new Set();
  const early = new Map();
  const WRITTEN = 'textarea, input[type=number], input[type=text]:not([role])';
  const restore = (name) => setTimeout(() => {
    restored.add(name);
    for (const [box, text] of early) {
      if (box.closest('.studio')?.id !== name) continue;
      early.delete(box);
      if (box.value !== text) tell(box, text);
    }
  }, 50); // until the values are on the page
  window.easel = {
    say,
    settings,
    tab,
    saved: (name) => unsaved.get(name)?.clear(),
    waiting: () => [...unsaved.values()].some((fields) => fields.size > 0), // until what was typed is saved
    forget: () => unsaved.forEach((fields) => fields.clear()), // the server has given a form other values
    restore,
    restored,
    // What was typed just before a form was filled may be saved after it: the form is saved once more as it is now.
    save: (name) => setTimeout(() => tell(document.querySelector(`#${name}_typed :is(textarea, input)`), String(Date.now())), 50),
  };
  document.addEventListener('input', (event) => {
    for (const [name, fields] of unsaved) {
      const field = event.target.closest?.(`[id^="${name}_"]`)?.id.slice(name.length + 1);
      if (!forms[name].includes(field)) continue;
      fields.add(field);
      if (!restored.has(name) && event.target.matches(WRITTEN)) early.set(event.target, event.target.value);
    }
  }, true);
  window.addEventListener('pagehide', () => {
    for (const [name, fields] of unsaved) {
      const values = {};
      for (const field of fields) {
        const box = document.querySelector(`#${name}_${field} :is(textarea, input)`);
        if (box) values[field] = box.value;
      }
      if (Object.keys(values).length) {
        navigator.sendBeacon(`/easel/forms/${name}`, new Blob([JSON.stringify(values)], {type: 'application/json'}));
      }
    }
  });

  const tell = (box, text) => {
    if (!box) return;
    box.value = text;
    box.dispatchEvent(new Event('input', {bubbles: true}));
  };
  window.easel.tell = tell;

  // A form is kept as it changes: Gradio is told once for all its fields, when the hand comes to rest.
  const FIELDS = 'input, textarea, [role=option], [role=listbox], .options';
  const rests = new Map();
  const changed = (event) => {
    const field = event.target.closest?.(FIELDS);
    if (!field || field.closest('[id$=_typed]')) return;
    const name = field.closest('.studio')?.id ?? (field.closest('#top') ? Object.keys(forms)[0] : '');
    const box = document.querySelector(`#${name || 'none'}_typed :is(textarea, input)`);
    clearTimeout(rests.get(name));
    rests.set(name, setTimeout(() => tell(box, String(Date.now())), 300));
  };
  for (const kind of ['input', 'change', 'pointerup', 'keyup']) document.addEventListener(kind, changed, true);

  // A slider and the number beside it follow each other; a number beyond the slider's end stays as it is.
  let following = false;
  const pairs = () => [...document.querySelectorAll('.number input[type=range]')]
    .filter((range) => range.offsetParent)
    .map((range) => [range, range.closest('.number').querySelector('input[type=number]')]);
  document.addEventListener('input', ({target}) => {
    if (following || target.type !== 'range') return;
    const box = target.closest('.number')?.querySelector('input[type=number]');
    if (box && box.value !== target.value) tell(box, target.value);
  }, true);
  setInterval(() => {
    for (const [range, box] of pairs()) {
      const [least, most, value] = [range.min, range.max, box.value].map(Number);
      const wanted = Math.min(Math.max(value, least), most);
      if (range === document.activeElement || Math.abs(Number(range.value) - wanted) < Number(range.step || 1)) continue;
      following = true;
      tell(range, String(wanted));
      following = false;
    }
  }, 250);

  // Something was painted: said once, when the hand comes to rest.
  let painting, resting;
  const settle = () => {
    clearTimeout(resting);
    const box = document.querySelector(`#${painting} :is(textarea, input)`);
    resting = setTimeout(() => tell(box, String(Date.now())), 700);
  };
  document.addEventListener('pointerdown', (event) => {
    painting = event.target.closest?.('.painter')?.id.replace('_editor', '_stroke');
  }, true);
  document.addEventListener('pointerup', () => { if (painting) settle(); }, true);
  document.addEventListener('keyup', () => { if (painting) settle(); }, true);

  // A picture goes to another tab: the tab comes to the front, and a hidden field there says which picture it is.
  document.addEventListener('click', async (event) => {
    const sender = event.target.closest('[data-send]');
    if (!sender) return;
    const {send, picture, label, into = send} = sender.dataset;
    sender.closest('dialog')?.close();
    // Tabs that find no room lie in a menu, where they have only their names.
    const menu = [...document.querySelectorAll('#tabs .overflow-menu button')];
    (document.getElementById(`tab_${send}-button`) ?? menu.find((each) => each.textContent.trim() === label))?.click();
    const found = () => document.querySelector(`#${into}_arrival :is(textarea, input)`);
    // Gradio makes a tab when it is first in front, and the server gives it the form as it was; what is sent comes after that.
    const fresh = !found();
    for (let tries = 0; tries < 100 && !found(); tries++) await new Promise((go) => setTimeout(go, 50));
    for (let tries = 0; fresh && tries < 100 && !restored.has(send); tries++) await new Promise((go) => setTimeout(go, 50));
    const box = found();
    tell(box, `${picture}:${Date.now()}`);
  });

  // A picture dropped on a prompt, or pasted there: what it was made with fills the form. A short text file is a prompt.
  const write = (id, text) => tell(document.querySelector(`#${id} :is(textarea, input)`), text);
  const read = async (name, data) => {
    const [, shown] = data.getData('text/uri-list').match(/\/easel\/(?:pictures|thumbnails)\/(\d+)/) ?? [];
    const file = data.files[0];
    if (shown) write(`${name}_dropped`, `${shown}:${Date.now()}`);
    else if (file?.type.startsWith('text/') && file.size < 10000) write(`${name}_prompt`, await file.text());
    else if (file) {
      try {
        const answer = await fetch('/easel/inputs', {method: 'POST', body: file});
        const told = await answer.json();
        write(`${name}_dropped`, answer.ok ? `${told.name}:${Date.now()}` : `refused:${told.message}`);
      } catch (error) {
        write(`${name}_dropped`, `refused:${error.message}`);
      }
    }
  };
  for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop', 'paste']) {
    document.addEventListener(kind, (event) => {
      const place = event.target.closest?.('.studio > .prompts');
      const data = event.dataTransfer ?? event.clipboardData;
      const wanted = kind === 'paste' ? ['Files'] : ['Files', 'text/uri-list'];
      if (!place || !wanted.some((each) => data.types.includes(each))) return;
      if (kind === 'paste' && data.types.includes('text/plain')) return; // words that bring a drawing of themselves
      event.preventDefault();
      event.stopPropagation();
      place.classList.toggle('over', kind === 'dragover' || kind === 'dragenter');
      if (kind === 'drop' || kind === 'paste') read(place.closest('.studio').id, data);
    }, true);
  }

  // Gradio runs this when the page is there.
  document.body.append(zoom);
  follow.observe(document.body, {subtree: true, attributes: true, attributeFilter: ['data-zoom']});
  if (theme) document.body.classList.toggle('dark', theme === 'dark');
})();
