// The dialog with the shortcuts and with what happens in this browser when pictures are done; and a size that is pasted.
(() => {
  const {say, tell, alerts} = window.easel;
  const mac = /Mac|iPhone|iPad/.test(navigator.platform);
  const CTRL = mac ? '⌘' : 'Ctrl', ALT = mac ? '⌥' : 'Alt';
  const LISTS = [
    ['where_page', [
      [[CTRL, 'Enter'], 'generate'], [[ALT, 'Enter'], 'skip'], [['Esc'], 'interrupt'], [['▾'], 'forever'], [['?'], 'help'],
      [[CTRL, 'V'], 'paste_picture'], [[CTRL, 'V'], 'paste_size'], [['↔'], 'split'],
    ]],
    ['where_prompt', [
      [[CTRL, '↑ ↓'], 'weight'], [[ALT, '← →'], 'move'], [['↑ ↓', 'Tab'], 'complete'], [[CTRL, 'Z'], 'undo'],
    ]],
    ['where_picture', [[['← →'], 'turn'], [['S'], 'save'], [['T'], 'tile'], [['◉'], 'newtab'], [['Esc'], 'close']]],
  ];
  const made = (name, of = {}, ...children) => {
    const element = Object.assign(document.createElement(name), of);
    element.append(...children);
    return element;
  };

  const list = ([where, keys]) => made('section', {}, made('h3', {textContent: say[where]}), made('dl', {}, ...keys.flatMap(
    ([signs, what]) => [made('dt', {}, ...signs.flatMap((sign, at) => [at ? ' ' : '', made('kbd', {textContent: sign})])),
      made('dd', {textContent: say[what]})])));
  const trouble = made('p', {className: 'trouble', role: 'alert', hidden: true});
  const turn = (name) => {
    const box = made('input', {type: 'checkbox', checked: alerts.wishes[name], name});
    box.addEventListener('change', async () => {
      const refused = await alerts.set(name, box.checked);
      box.checked = alerts.wishes[name];
      trouble.textContent = refused;
      trouble.hidden = !refused;
    });
    return made('label', {className: 'turn'}, box, made('span', {textContent: say[name]}));
  };
  const loud = made('input', {type: 'range', min: 0, max: 100, step: 5, value: alerts.wishes.volume, name: 'volume'});
  loud.setAttribute('aria-label', say.volume);
  loud.addEventListener('change', () => alerts.set('volume', Number(loud.value)));
  const listen = made('button', {type: 'button', textContent: say.listen});
  listen.addEventListener('click', alerts.ring);
  const close = made('button', {type: 'button', className: 'close', textContent: '×'});
  close.setAttribute('aria-label', say.close);

  const dialog = made('dialog', {id: 'easel-keys'}, close, made('h2', {textContent: say.title}),
    made('section', {className: 'done'}, made('h3', {textContent: say.done}), turn('sound'),
      made('div', {className: 'loud'}, loud, listen), turn('notify'), turn('awake'), trouble,
      made('p', {className: 'hint', textContent: say.done_hint})),
    made('div', {className: 'lists'}, ...LISTS.map(list)));
  dialog.setAttribute('aria-label', say.title);
  dialog.addEventListener('click', ({target}) => { if (target === dialog || target === close) dialog.close(); });
  document.body.append(dialog);

  const typing = (target) => target.closest?.('input:not([type=checkbox], [type=range]), textarea, select, [contenteditable=true]');
  document.addEventListener('click', ({target}) => { if (target.closest('#open_keys')) dialog.showModal(); });
  document.addEventListener('keydown', (event) => {
    if (event.key !== '?' || event.isComposing || typing(event.target)) return;
    if (dialog.open) dialog.close();
    else if (!document.querySelector('dialog[open]')) dialog.showModal();
  });

  // "512x768" in a box for a width or a height sets both.
  document.addEventListener('paste', (event) => {
    const place = event.target.closest?.('[id$=_width], [id$=_height]');
    const [, width, height] = (event.clipboardData?.getData('text/plain') ?? '').match(/^\D*(\d+)\D+(\d+)\D*$/) ?? [];
    if (!place || !width) return;
    const stem = place.id.replace(/_(?:width|height)$/, '');
    event.preventDefault();
    for (const [side, value] of [['width', width], ['height', height]]) {
      tell(document.querySelector(`#${stem}_${side} input`), value);
    }
  }, true);
})();
