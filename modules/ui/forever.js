// The menu of Generate and Interrupt: by its own small button, a right click, or a finger that stays. Whether a form
// generates forever the server knows; the page asks for it, and shows the line that the server writes.
(() => {
  const {say, tab, tell} = window.easel;
  const HELD = 550; // milliseconds until a finger has stayed
  const BUTTONS = ':is([id$=_generate], [id$=_interrupt])';
  let opener = null;

  const going = () => document.querySelector(`#${tab()} .forever [data-act=end_forever]`);
  const begin = () => {
    const name = tab();
    const box = document.querySelector(`#${name}_forever :is(textarea, input)`);
    tell(box, 'on');
    setTimeout(() => {
      document.getElementById(`${name}_generate`).click();
      setTimeout(() => tell(box, ''), 200);
    }, 50);
  };

  const menu = document.createElement('div');
  menu.id = 'easel-menu';
  menu.setAttribute('role', 'menu');
  menu.setAttribute('aria-label', say.menu);
  menu.hidden = true;
  const item = (text, does) => {
    const button = menu.appendChild(document.createElement('button'));
    button.type = 'button';
    button.textContent = text;
    button.setAttribute('role', 'menuitem');
    button.tabIndex = -1;
    button.addEventListener('click', () => {
      close();
      does();
    });
    return button;
  };
  const more = item(say.forever_begin, begin);
  const less = item(say.forever_end, () => going()?.click());
  const close = (focus = true) => {
    if (menu.hidden) return;
    menu.hidden = true;
    opener?.setAttribute('aria-expanded', 'false');
    if (focus) opener?.focus();
  };
  const open = (button) => {
    const on = Boolean(going());
    [more.hidden, less.hidden] = [on, !on];
    opener = button;
    opener.setAttribute('aria-haspopup', 'menu');
    opener.setAttribute('aria-expanded', 'true');
    menu.hidden = false;
    const frame = button.getBoundingClientRect();
    const below = frame.bottom + 6;
    menu.style.left = `${Math.max(8, Math.min(frame.left, innerWidth - menu.offsetWidth - 8))}px`;
    menu.style.top = `${below + menu.offsetHeight < innerHeight ? below : frame.top - menu.offsetHeight - 6}px`;
    (on ? less : more).focus();
  };

  document.addEventListener('click', (event) => {
    const button = event.target.closest('.studio [id$=_more]');
    if (button) menu.hidden ? open(button) : close();
  });
  document.addEventListener('contextmenu', (event) => {
    const button = event.target.closest(`.studio .actions ${BUTTONS}`);
    if (!button) return;
    event.preventDefault();
    open(button);
  });
  // A browser without a context menu for a finger is given its moment.
  let holding, held = false;
  document.addEventListener('pointerdown', (event) => {
    if (!menu.contains(event.target) && !event.target.closest('[id$=_more]')) close(false);
    held = false;
    const button = event.pointerType === 'touch' && event.target.closest(`.studio .actions ${BUTTONS}`);
    if (button) holding = setTimeout(() => { held = true; open(button); }, HELD);
  }, true);
  for (const kind of ['pointerup', 'pointercancel', 'pointermove']) {
    document.addEventListener(kind, (event) => {
      if (kind !== 'pointermove' || Math.hypot(event.movementX, event.movementY) > 6) clearTimeout(holding);
    }, true);
  }
  document.addEventListener('click', (event) => {
    if (!held || !event.target.closest(`.studio .actions ${BUTTONS}`)) return;
    held = false;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  document.addEventListener('keydown', (event) => {
    if (menu.hidden) return;
    if (event.key === 'Escape' || event.key === 'Tab') close();
    else if (!['ArrowUp', 'ArrowDown', 'Home', 'End'].includes(event.key)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  addEventListener('resize', () => close(false));
  document.body.append(menu);
})();
