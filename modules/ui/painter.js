// What is painted comes to the server as one picture. Gradio calls this with what its editor holds, the name of the
// picture below, and what the field says so far; it answers with what the field says now.
async (value, picture, before) => {
  if (!picture || !value?.background) return before;
  const told = JSON.parse(before || '{}');
  const base = told.on === picture ? told.base ?? '' : ''; // what lies beneath, which the editor has as part of the picture
  const layers = await Promise.all((value.layers ?? []).filter((layer) => layer?.url).map(
    async (layer) => createImageBitmap(await (await fetch(layer.url)).blob())));
  let name = '';
  if (layers.length) {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [layers[0].width, layers[0].height];
    const pen = canvas.getContext('2d');
    for (const layer of layers) pen.drawImage(layer, 0, 0, canvas.width, canvas.height);
    const pixels = new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    if (pixels.some(Boolean)) {
      const file = await new Promise((done) => canvas.toBlob(done, 'image/png'));
      const answer = await fetch('/easel/inputs', {method: 'POST', body: file});
      if (!answer.ok) return before; // it stays in the editor, and comes with the next stroke
      ({name} = await answer.json());
    }
  }
  return JSON.stringify({on: picture, layer: name, base});
}
