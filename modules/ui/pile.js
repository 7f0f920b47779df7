// A place for many pictures. Gradio runs this once for each, as the body of a function of `element` and `trigger`.
// Files are put by our own route, so that the bytes come as they are; the page learns the names of what was kept.

const PICTURES = /\.(png|jpe?g|webp|avif|gif|bmp|tiff?)$/i;

element.addEventListener('click', (event) => {
  const control = event.target.closest('[data-act]');
  if (control && element.contains(control)) trigger('act', {...control.dataset});
});
// `given` are pairs of a file and its name, with the folders it lies in below the one that was chosen.
const send = async (given) => {
  const box = element.querySelector('.drop');
  if (!given.length || !box) return;
  const put = [], refused = [];
  for (const [at, [file, name]] of given.entries()) {
    box.dataset.busy = `${at + 1}/${given.length}`;
    try {
      const answer = await fetch('/easel/inputs', {method: 'POST', body: file});
      const told = await answer.json();
      if (answer.ok) put.push([told.name, name]);
      else refused.push(`${name}: ${told.message}`);
    } catch (error) {
      refused.push(`${name}: ${error.message}`);
    }
  }
  delete box.dataset.busy;
  trigger('put', {put, refused});
};
// Of a folder, pictures alone, as people count: what else lies in it is no mistake.
const of_folder = (pairs) => pairs
  .map(([file, path]) => [file, path.split('/').slice(1).join('/') || path])
  .filter(([, name]) => PICTURES.test(name) && !name.split('/').some((part) => part.startsWith('.')))
  .sort(([, one], [, other]) => one.localeCompare(other, undefined, {numeric: true}));
const within = async (entry, path) => {
  if (entry.isFile) return [[await new Promise((yes, no) => entry.file(yes, no)), path]];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((yes, no) => reader.readEntries(yes, no));
    if (!some.length) return found;
    for (const each of some) found.push(...await within(each, `${path}/${each.name}`));
  }
};
element.addEventListener('change', (event) => {
  if (event.target.type !== 'file') return;
  const files = [...event.target.files];
  send(event.target.webkitdirectory
    ? of_folder(files.map((file) => [file, file.webkitRelativePath || file.name]))
    : files.map((file) => [file, file.name]));
  event.target.value = '';
});
element.addEventListener('dragover', (event) => {
  event.preventDefault();
  element.querySelector('.drop')?.classList.add('over');
});
element.addEventListener('dragleave', () => element.querySelector('.drop')?.classList.remove('over'));
element.addEventListener('drop', async (event) => {
  event.preventDefault();
  element.querySelector('.drop')?.classList.remove('over');
  // What was dropped is gone as soon as this function waits for something.
  const files = [...event.dataTransfer.files];
  const folders = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry?.isDirectory);
  if (!folders.length) {
    send(files.map((file) => [file, file.name]));
    return;
  }
  const found = [];
  for (const folder of folders) found.push(...of_folder(await within(folder, folder.name)));
  send(found);
});
document.addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith('image/'));
  if (files.length && element.offsetParent !== null && element.querySelector('[data-pastes]')) {
    event.preventDefault();
    send(files.map((file) => [file, file.name]));
  }
});
