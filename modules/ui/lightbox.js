// What else the full-size view does: the wheel turns, s saves, t shows the picture beside itself, and a middle click on
// a picture opens it in a tab of its own.
(() => {
  const {say} = window.easel;
  const TURN = 250; // milliseconds between two pictures that the wheel turns to
  const zoom = document.getElementById('easel-zoom');
  const large = zoom.querySelector('img');

  const tool = (drawing, label, does) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = drawing;
    button.title = label;
    button.setAttribute('aria-label', label);
    button.addEventListener('click', (event) => {
      event.stopPropagation(); // a click anywhere else closes the view
      does();
    });
    return button;
  };
  const save = () => {
    const link = document.createElement('a');
    const address = new URL(large.src);
    if (address.pathname.startsWith('/easel/pictures/')) address.searchParams.set('download', 'true');
    link.href = address;
    link.download = '';
    link.click();
  };
  const tiles = document.createElement('div');
  tiles.className = 'tiles';
  const tile = (on = !zoom.classList.contains('tiled')) => {
    zoom.classList.toggle('tiled', on);
    tiling.setAttribute('aria-pressed', on);
    if (on) tiles.style.backgroundImage = `url("${encodeURI(decodeURI(large.src))}")`;
  };
  const tiling = tool('⊞', say.tile, () => tile());
  const saving = tool('⤓', say.save, save);
  tiling.setAttribute('aria-pressed', 'false');
  const tools = document.createElement('div');
  tools.className = 'tools';
  tools.append(saving, tiling);
  zoom.append(tiles, tools);
  new MutationObserver(() => { if (zoom.classList.contains('tiled')) tile(true); })
    .observe(large, {attributes: true, attributeFilter: ['src']});
  zoom.addEventListener('close', () => tile(false));

  let turned = 0;
  zoom.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (event.ctrlKey || !event.deltaY || event.timeStamp - turned < TURN) return;
    turned = event.timeStamp;
    const key = event.deltaY > 0 ? 'ArrowRight' : 'ArrowLeft';
    zoom.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
  }, {passive: false});
  zoom.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.code === 'KeyS') save(); // the key, whatever letter the keyboard has on it
    else if (event.code === 'KeyT') tile();
  });
  document.addEventListener('auxclick', (event) => {
    if (event.button !== 1) return;
    const address = event.target.closest('[data-zoom]')?.dataset.zoom ?? (event.target === large || event.target === tiles ? large.src : '');
    if (address) open(address, '_blank', 'noopener');
  });
  document.addEventListener('mousedown', (event) => {
    if (event.button === 1 && event.target.closest('[data-zoom], #easel-zoom')) event.preventDefault(); // no scrolling
  });
})();
