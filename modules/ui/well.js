// A place for a picture. Gradio runs this once for each, as the body of a function of `element` and `trigger`.
// A file is sent to the server, which answers with the name it is kept under; the name goes into a hidden field.

const well = () => element.querySelector('.well');
const field = () => document.querySelector(`#${well()?.dataset.field} :is(textarea, input)`);
const write = (text) => {
  const box = field();
  box.value = text;
  box.dispatchEvent(new Event('input', {bubbles: true}));
};
const say = (text) => {
  const told = element.querySelector('[role=alert]');
  told.textContent = text;
  told.hidden = !text;
};
const take = async (file) => {
  const place = well();
  place.classList.add('taking');
  say('');
  try {
    const answer = await fetch('/easel/inputs', {method: 'POST', body: file});
    const said = await answer.json();
    if (answer.ok) {
      write(said.name);
      trigger('put', {name: said.name});
    }
    else say(said.message ?? answer.statusText);
  } catch {
    say(place.dataset.away);
  }
  place.classList.remove('taking');
};
const picture_of = (data) => [...(data?.files ?? [])].find((each) => each.type.startsWith('image/')) ?? data?.files?.[0];
const dragged = async (data) => {
  const file = picture_of(data);
  if (file) return take(file);
  const url = new URL(data.getData('text/uri-list') || 'about:blank', location.href);
  if (url.origin === location.origin) take(await (await fetch(url)).blob());
};

element.addEventListener('change', (event) => {
  if (event.target.type === 'file' && event.target.files[0]) take(event.target.files[0]);
});
element.addEventListener('click', (event) => {
  if (event.target.closest('[data-clear]')) write('');
});
for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop']) {
  element.addEventListener(kind, (event) => {
    event.preventDefault();
    well()?.classList.toggle('over', kind === 'dragover' || kind === 'dragenter');
    if (kind === 'drop') dragged(event.dataTransfer);
  });
}
// What is pasted goes to the place in use, or else to the first that is empty.
document.addEventListener('paste', (event) => {
  const file = picture_of(event.clipboardData);
  if (!file || !element.isConnected) return;
  const places = [...document.querySelectorAll('.well')].filter((each) => each.offsetParent);
  const chosen = document.activeElement?.closest('.well') ?? document.querySelector('.well:hover')
    ?? places.find((each) => !each.querySelector('img')) ?? places[0];
  if (chosen && chosen === well()) {
    event.preventDefault();
    take(file);
  }
});
