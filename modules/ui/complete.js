// Names in a prompt are completed as they are typed: tags after <, words that were learned, and what extensions offer
// between marks of their own. The names come from the server once in a while; each key only looks through them.
(() => {
  const AGE = 10_000; // milliseconds after which the names are asked for again
  const SHOWN = 30, LEAST = 2; // names in the list; letters of a word before it is looked up
  const STOPS = /[\s,.;:!?()[\]{}|<>/\\]/;
  const say = window.easel.say;
  let known = {model: null, at: 0, names: {}, marks: [], tags: []};

  // The names as [what is shown, what is written, in small letters].
  const listed = (names) => names.map((each) => [each, each].flat().slice(0, 2)).map(([name, said]) => [name, said, name.toLowerCase()]);
  // Answers with whether there is news; who asks while an answer is on its way gets the same.
  let asking = null;
  const fetched = () => {
    const model = document.querySelector('#txt2img_model input')?.value ?? '';
    if (known.model === model && Date.now() - known.at < AGE) return asking ?? Promise.resolve(false);
    known = {...known, model, at: Date.now()};
    const mine = ask(model).finally(() => { if (asking === mine) asking = null; });
    asking = mine;
    return mine;
  };
  const ask = async (model) => {
    try {
      const told = await (await fetch(`/easel/completions?${new URLSearchParams({model})}`)).json();
      if (known.model !== model) return false; // another checkpoint was chosen meanwhile
      known.names = Object.fromEntries(Object.entries(told.names).map(([kind, names]) => [kind, listed(names)]));
      known.marks = told.marks.map((mark) => ({...mark, names: listed(mark.names)}));
      known.tags = listed(told.tags);
      return true;
    } catch {
      return false; // the server is away: what was known is offered
    }
  };

  // What of the text before the cursor is to be completed: from where on, what was typed of a name, and the choices as
  // [name, its kind, what is written, in small letters]. There may be two: a word, and all there is since the last comma.
  const wanted = (before, {names, marks, tags}) => {
    const tag = before.match(/<(?:(\w+):)?([^<>:\n]*)$/);
    if (tag) {
      const kinds = Object.keys(names).filter((kind) => kind !== 'word' && (!tag[1] || kind === tag[1].toLowerCase().replace('lyco', 'lora')));
      const from = before.length - tag[0].length;
      const begun = tag[1] ? [] : kinds.filter((kind) => tag[2] && kind.startsWith(tag[2].toLowerCase()));
      const typed = begun.length ? '' : tag[2];
      return [{from, typed, sure: true, choices: (begun.length ? begun : kinds).flatMap(
        (kind) => (names[kind] ?? []).map(([name, said, low]) => [name, kind, `<${kind}:${said}:${window.easel.settings.weight}>`, low]))}];
    }
    const line = before.slice(before.lastIndexOf('\n') + 1);
    for (const mark of marks) {
      const parts = line.split(mark.before);
      const typed = parts.at(-1);
      // An even number of marks was closed again.
      if (parts.length < 2 || (mark.before === mark.after && parts.length % 2) || /[,\s]/.test(typed)) continue;
      if (mark.before !== mark.after && typed.includes(mark.after)) continue;
      return [{from: before.length - typed.length - mark.before.length, typed, sure: true, choices: mark.names.map(
        ([name, said, low]) => [name, mark.name, `${mark.before}${said}${mark.after}`, low])}];
    }
    let from = before.length;
    while (from > 0 && !STOPS.test(before[from - 1])) from--;
    const found = [{from, typed: before.slice(from), sure: false, choices: (names.word ?? []).map(
      ([name, said, low]) => [name, 'word', said, low])}];
    const phrase = line.match(/[^,()[\]{}|<>:]*$/)[0].trimStart();
    if (tags.length) {
      found.push({from: before.length - phrase.length, typed: phrase, sure: false, choices: tags.map(
        ([name, , low]) => [name, 'tag', name.replace(/[()[\]]/g, '\\$&'), low])});
    }
    return found.filter(({typed}) => typed.length >= LEAST);
  };
  // Those that hold what was typed: first those that begin with it, then those with a word that does, then the others.
  const fitting = (typed, choices) => {
    const low = typed.toLowerCase().trim();
    const ranks = [[], [], []];
    for (const choice of choices) {
      const at = choice[3].indexOf(low);
      if (at < 0) continue;
      ranks[at === 0 ? 0 : /[\s_./-]/.test(choice[3][at - 1]) ? 1 : 2].push(choice);
    }
    return ranks.flat();
  };
  // Everything that fits, as {from, name, kind, put}; `sure` where nothing else can be meant.
  const completed = (before, names) => wanted(before, {marks: [], tags: [], ...names}).flatMap(({from, typed, sure, choices}) =>
    fitting(typed, choices).slice(0, SHOWN).map(([name, kind, put]) => ({from, name, kind, put, sure})));
  window.easel.completed = completed;

  // The list: there only while it is open, for Escape means something else without it.
  let list = null, area = null, found = null, active = -1;
  const close = () => {
    list?.remove();
    for (const name of ['aria-controls', 'aria-activedescendant', 'aria-expanded']) area?.removeAttribute(name);
    list = area = found = null;
  };
  const choose = (place) => {
    active = place;
    const options = [...list.children];
    for (const [at, each] of options.entries()) each.setAttribute('aria-selected', at === place);
    if (place < 0) area.removeAttribute('aria-activedescendant');
    else {
      area.setAttribute('aria-activedescendant', options[place].id);
      options[place].scrollIntoView({block: 'nearest'});
    }
  };
  const take = (place) => {
    const {from, put} = found[place];
    const [box, to] = [area, area.selectionStart];
    close();
    box.focus();
    window.easel.edit(box, {from, to, put, start: from + put.length, end: from + put.length});
  };

  // Where the cursor is: a copy of the box, as wide and with the same letters, says it.
  const cursor = (box, at) => {
    const copy = document.createElement('div');
    const style = getComputedStyle(box);
    for (const name of ['font', 'letterSpacing', 'lineHeight', 'padding', 'border', 'boxSizing', 'tabSize', 'wordBreak']) copy.style[name] = style[name];
    Object.assign(copy.style, {position: 'absolute', visibility: 'hidden', whiteSpace: 'pre-wrap', overflowWrap: 'break-word', width: `${box.offsetWidth}px`});
    copy.textContent = box.value.slice(0, at);
    const mark = copy.appendChild(document.createElement('span'));
    mark.textContent = '\u200b';
    document.body.append(copy);
    const place = {left: mark.offsetLeft, top: mark.offsetTop - box.scrollTop, height: mark.offsetHeight};
    copy.remove();
    const frame = box.getBoundingClientRect();
    return {left: frame.left + place.left, top: frame.top + Math.min(place.top, box.clientHeight - place.height), height: place.height};
  };
  const put = () => {
    const {left, top, height} = cursor(area, found[0].from);
    const room = innerHeight - top - height;
    list.style.left = `${Math.max(8, Math.min(left, innerWidth - list.offsetWidth - 8))}px`;
    list.style.top = `${room > list.offsetHeight + 8 || room > top ? top + height + 4 : Math.max(8, top - list.offsetHeight - 4)}px`;
  };
  const show = (box) => {
    const at = box.selectionStart;
    const before = box.value.slice(0, at);
    const fits = at === box.selectionEnd ? completed(before, known).slice(0, SHOWN) : [];
    if (!fits.length || (fits.length === 1 && fits[0].put === before.slice(fits[0].from))) {
      close();
      return;
    }
    if (area !== box) close();
    area = box;
    found = fits;
    if (!list) {
      list = document.createElement('ul');
      list.id = 'easel-names';
      list.setAttribute('role', 'listbox');
      list.setAttribute('aria-label', say.names);
      list.addEventListener('pointerdown', (event) => event.preventDefault()); // the prompt keeps the focus
      list.addEventListener('mousedown', (event) => event.preventDefault());
      list.addEventListener('click', ({target}) => {
        const option = target.closest('[role=option]');
        if (option) take([...list.children].indexOf(option));
      });
      document.body.append(list);
      area.setAttribute('aria-controls', list.id);
      area.setAttribute('aria-expanded', 'true');
    }
    list.replaceChildren(...found.map(({name, kind}, place) => {
      const option = document.createElement('li');
      option.id = `easel-name-${place}`;
      option.setAttribute('role', 'option');
      option.append(Object.assign(document.createElement('span'), {textContent: name}));
      const kinds = {lora: say.kind_lora, hypernet: say.kind_hypernet, word: say.kind_word};
      if (kinds[kind]) option.append(Object.assign(document.createElement('small'), {textContent: kinds[kind]}));
      return option;
    }));
    choose(found[0].sure ? 0 : -1);
    put();
  };
  const look = async (box) => {
    show(box);
    if (await fetched() && document.activeElement === box) show(box);
  };

  // While letters are put together, as in Korean, what stands in the box is not what is meant yet.
  document.addEventListener('input', (event) => {
    if (!window.easel.is_prompt(event.target)) return;
    if (event.isComposing || window.easel.writing || document.activeElement !== event.target) return;
    if (event.inputType?.startsWith('history')) close();
    else look(event.target);
  }, true);
  document.addEventListener('compositionend', (event) => {
    if (window.easel.is_prompt(event.target)) look(event.target);
  }, true);
  document.addEventListener('focusin', (event) => {
    if (window.easel.is_prompt(event.target)) fetched();
  });
  document.addEventListener('keydown', (event) => {
    if (!list || event.target !== area || event.isComposing || event.keyCode === 229) return;
    const size = list.children.length;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
    let used = plain;
    if (!plain) used = false;
    else if (event.key === 'ArrowDown') choose((active + 1) % size);
    else if (event.key === 'ArrowUp') choose(active > 0 ? active - 1 : size - 1);
    else if (event.key === 'Enter' && active >= 0) take(active);
    else if (event.key === 'Tab') take(Math.max(active, 0));
    else if (event.key === 'Escape') close();
    else used = false;
    if (used) {
      event.preventDefault();
      event.stopPropagation();
    } else if (['ArrowLeft', 'ArrowRight', 'Home', 'End', 'PageUp', 'PageDown'].includes(event.key) || event.ctrlKey || event.metaKey) close();
  }, true);
  document.addEventListener('pointerdown', (event) => {
    if (list && !list.contains(event.target)) close();
  }, true);
  document.addEventListener('focusout', (event) => {
    if (list && event.target === area) close();
  });
  for (const kind of ['scroll', 'resize']) {
    addEventListener(kind, ({target}) => { if (list && target !== list) put(); }, {capture: true, passive: true});
  }
})();
