// The line between the settings and the picture: dragged, moved by arrow keys, and put back by a double click. How wide
// the settings are is kept in the browser.
(() => {
  const {say} = window.easel;
  const KEY = 'easel-settings-width', LEAST = 260, SHARE = 0.6, STEP = 16; // pixels; of the window
  const root = document.documentElement;

  const stored = (value) => {
    try {
      if (value === undefined) return Number(localStorage.getItem(KEY));
      if (value) localStorage.setItem(KEY, String(value));
      else localStorage.removeItem(KEY);
    } catch { /* a browser that keeps nothing */ }
    return 0;
  };
  const widths = () => [LEAST, Math.max(LEAST, Math.round(innerWidth * SHARE))];
  const show = (width) => {
    const [least, most] = widths();
    const fits = width ? Math.round(Math.min(Math.max(width, least), most)) : 0;
    root.classList.toggle('split', fits > 0);
    root.style.setProperty('--settings', `${fits}px`);
    for (const each of document.querySelectorAll('.splitter')) describe(each);
    return fits;
  };
  const width_now = (splitter) => splitter.parentElement.querySelector(':scope > .settings').getBoundingClientRect().width;
  const describe = (splitter) => {
    const [least, most] = widths();
    const now = Math.round(width_now(splitter));
    for (const [name, value] of [['valuemin', least], ['valuemax', most], ['valuenow', now]]) splitter.setAttribute(`aria-${name}`, value);
  };

  const made = (studio) => {
    const splitter = document.createElement('div');
    splitter.className = 'splitter';
    splitter.tabIndex = 0;
    splitter.title = say.split;
    for (const [name, value] of [['role', 'separator'], ['aria-orientation', 'vertical'], ['aria-label', say.splitter]]) splitter.setAttribute(name, value);
    let dragged = null;
    splitter.addEventListener('pointerdown', (event) => {
      dragged = {x: event.clientX, width: width_now(splitter)};
      splitter.setPointerCapture(event.pointerId);
    });
    splitter.addEventListener('pointermove', (event) => {
      if (dragged && event.clientX !== dragged.x) stored(show(dragged.width + event.clientX - dragged.x));
    });
    for (const kind of ['pointerup', 'pointercancel']) splitter.addEventListener(kind, () => { dragged = null; });
    splitter.addEventListener('dblclick', () => stored(show(0)));
    splitter.addEventListener('keydown', (event) => {
      const way = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (way) stored(show(width_now(splitter) + way * STEP));
      else if (event.key === 'Home') stored(show(0));
      else return;
      event.preventDefault();
    });
    studio.append(splitter);
    describe(splitter);
  };
  // A tab is made when it is first in front.
  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const studio of document.querySelectorAll('.studio:has(> .settings):not(:has(> .splitter))')) made(studio);
    });
  }).observe(document.body, {subtree: true, childList: true});
  show(stored());
})();
