// Keys in a prompt: Ctrl (Cmd) with up and down changes the weight of words or of a tag, Alt with left and right moves
// the part of a list that the cursor is in. What they do is a function of text and selection alone, which answers with
// what takes the place of which letters and what is selected then, or with null where there is nothing to do.
(() => {
  const {step: STEP, tag_step: TAG_STEP, stops: STOPS, moves: MOVES} = window.easel.settings; // stops: what ends a word
  const TAG = /<[\w-]+:[^<>\n]*>/y;
  const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)`;
  const OPENING = {')': '(', ']': '['};

  // Every pair of brackets, and every tag, as [opening, closing]. What a backslash stands before is text.
  const pairs = (text) => {
    const open = [], found = [];
    for (let at = 0; at < text.length; at++) {
      const sign = text[at];
      TAG.lastIndex = at;
      if (sign === '\\') at++;
      else if (sign === '<' && TAG.test(text)) found.push([at, at = TAG.lastIndex - 1]);
      else if (sign === '(' || sign === '[') open.push(at);
      else if (sign in OPENING) {
        const last = open.findLastIndex((each) => text[each] === OPENING[sign]);
        if (last >= 0) found.push([open.splice(last)[0], at]);
      }
    }
    return found;
  };
  // Those around a place, the innermost first.
  const around = (text, start, end) => pairs(text)
    .filter(([from, to]) => from < start && end <= to).sort(([one], [other]) => other - one);
  // Where the signs stand that divide what is between two brackets, and not what is in brackets there.
  const dividers = (text, from, to, signs) => {
    const inner = pairs(text).filter(([open, close]) => open >= from && close < to);
    return Array.from({length: Math.max(0, to - from)}, (_, at) => from + at)
      .filter((at) => signs.includes(text[at]) && !inner.some(([open, close]) => open < at && at < close));
  };
  const trimmed = (text, from, to) => {
    while (from < to && /\s/.test(text[from])) from++;
    while (from < to && /\s/.test(text[to - 1])) to--;
    return [from, to];
  };
  const rounded = (weight) => Number(weight.toFixed(12)) + 0;
  const written = (weight) => Number.isInteger(weight) ? weight.toFixed(1) : String(weight);

  // The weight that follows at `at` before a bracket is closed at `close`; null where there is none.
  const weight_at = (text, at, close) => text.slice(at, close).match(new RegExp(`^\\s*:\\s*(${NUMBER})\\s*$`))?.[1] ?? null;
  // Where that weight begins in brackets; where they are closed, without any.
  const inside = (text, [from, to]) => {
    const colon = dividers(text, from + 1, to, ':').at(-1);
    if (text[from] !== '(' || colon === undefined || weight_at(text, colon, to) === null) return [from + 1, to];
    return [from + 1, from + 1 + text.slice(from + 1, colon).trimEnd().length];
  };

  // What is meant without a selection: what the nearest brackets hold, or else the word.
  const picked = (text, at) => {
    const [nearest] = around(text, at, at);
    if (nearest && text[nearest[0]] === '(') return inside(text, nearest);
    // [a:b:5] and [a|b] are words that change, not a weight.
    if (nearest && !dividers(text, nearest[0] + 1, nearest[1], ':|').length) return [nearest[0] + 1, nearest[1]];
    let [from, to] = [at, at];
    while (from > 0 && !STOPS.includes(text[from - 1])) from--;
    while (to < text.length && !STOPS.includes(text[to])) to++;
    return [from, to];
  };

  const tag_weighed = (text, [from, to], at, sign) => {
    const [kind, name, ...rest] = text.slice(from + 1, to).split(':');
    let any = false;
    const changed = (part, place) => {
      const found = part.match(new RegExp(`^(\\s*(?:(?:te|unet)=)?)(${NUMBER})\\s*$`));
      if (!found || (place > 1 && !found[1].trim())) return part; // the third number is no weight
      any = true;
      return found[1] + written(rounded(Number(found[2]) + sign * TAG_STEP));
    };
    const parts = rest.map(changed);
    if (!any) parts.unshift(written(rounded(1 + sign * TAG_STEP)));
    const put = `<${[kind, name, ...parts].join(':')}>`;
    const place = Math.min(Math.max(at, from + 1), from + put.length - 1);
    return {from, to: to + 1, put, start: place, end: place};
  };

  const weighed = (text, start, end, up) => {
    const sign = up ? 1 : -1;
    if (start < end) [start, end] = trimmed(text, start, end);
    const whole = pairs(text).find(([from, to]) => from === start && to + 1 === end);
    const tag = whole ?? around(text, start, end)[0];
    if (tag && text[tag[0]] === '<') return tag_weighed(text, tag, start, sign);
    if (whole) [start, end] = inside(text, whole);
    else if (start === end) [start, end] = picked(text, start);
    if (start === end) return null;
    const outer = around(text, start, end).filter(([from]) => text[from] !== '<');
    let [from, to] = [start, end];
    let weight = 1;
    const own = outer[0]?.[0] === start - 1 ? outer[0] : null;
    const bracket = own && text[own[0]];
    const said = own && bracket === '(' ? weight_at(text, end, own[1]) : null;
    if (said !== null) {
      [from, to] = [own[0], own[1] + 1];
      weight = Number(said);
    } else {
      let depth = 0;
      while (outer[depth]?.[0] === start - 1 - depth && outer[depth][1] === end + depth && text[outer[depth][0]] === bracket) depth++;
      if (depth) {
        [from, to] = [start - depth, end + depth];
        weight = Number((bracket === '(' ? 1.1 ** depth : 1.1 ** -depth).toFixed(1));
      }
    }
    weight = rounded(weight + sign * STEP);
    const words = text.slice(start, end);
    const put = weight === 1 ? words : `(${words}:${written(weight)})`;
    const first = from + (weight === 1 ? 0 : 1);
    return {from, to, put, start: first, end: first + words.length};
  };

  // The parts of the list in text[from..to], as [from, to, where its words begin, where they end].
  const listed = (text, from, to) => {
    const commas = dividers(text, from, to, ',');
    return [from - 1, ...commas].map((at, place) => [at + 1, commas[place] ?? to])
      .map(([first, last]) => [first, last, ...trimmed(text, first, last)])
      .filter(([, , first, last]) => first < last);
  };
  const lists = (text, start, end) => {
    const inner = around(text, start, end).filter(([from]) => text[from] !== '<').map(([from, to]) => {
      const ends = [from, ...dividers(text, from + 1, to, ':|'), to];
      const before = ends.findLastIndex((each) => each < start);
      return [ends[before] + 1, ends[before + 1]];
    }).filter(([, to]) => end <= to);
    return [...inner, [0, text.length]];
  };

  const moved = (text, start, end, right) => {
    for (const [least, most] of lists(text, start, end)) {
      const parts = listed(text, least, most);
      if (parts.length < 2) continue;
      const first = parts.findIndex(([, to]) => to >= start), last = parts.findLastIndex(([from]) => from <= end);
      const other = right ? last + 1 : first - 1;
      if (first < 0 || first > last || !parts[other]) return null;
      const [low, high] = [Math.min(first, other), Math.max(last, other)];
      const words = parts.slice(low, high + 1).map(([, , from, to]) => text.slice(from, to));
      words.splice(right ? 0 : words.length, 0, right ? words.pop() : words.shift());
      const from = parts[low][2], to = parts[high][3];
      let put = '';
      const begins = words.map((each, place) => {
        put += place ? text.slice(parts[low + place - 1][3], parts[low + place][2]) : '';
        put += each;
        return from + put.length - each.length;
      });
      const mine = begins[right ? 1 : 0];
      const size = parts[first][3] - parts[first][2];
      const within = Math.min(Math.max(start - parts[first][2], 0), size);
      if (start === end) return {from, to, put, start: mine + within, end: mine + within};
      const final = right ? words.length - 1 : last - first;
      return {from, to, put, start: mine, end: begins[final] + words[final].length};
    }
    return null;
  };

  // Written as if typed: the browser can undo it, and the page hears of it.
  const edit = (area, {from, to, put, start, end}) => {
    window.easel.writing = true; // nothing that was typed
    area.setSelectionRange(from, to);
    if (!document.execCommand('insertText', false, put)) {
      area.setRangeText(put, from, to, 'end');
      area.dispatchEvent(new Event('input', {bubbles: true}));
    }
    area.setSelectionRange(start, end);
    window.easel.writing = false;
  };
  const is_prompt = (area) => area?.tagName === 'TEXTAREA' && Boolean(area.closest('.studio [id$=prompt]'));
  window.easel = Object.assign(window.easel ?? {}, {weighed, moved, edit, is_prompt});

  document.addEventListener('keydown', (event) => {
    const area = event.target;
    if (event.defaultPrevented || event.isComposing || event.shiftKey || !is_prompt(area)) return;
    const {value, selectionStart: start, selectionEnd: end} = area;
    let change;
    if ((event.ctrlKey || event.metaKey) && !event.altKey && ['ArrowUp', 'ArrowDown'].includes(event.key)) {
      change = weighed(value, start, end, event.key === 'ArrowUp');
    } else if (MOVES && event.altKey && !event.ctrlKey && !event.metaKey && ['ArrowLeft', 'ArrowRight'].includes(event.key)) {
      change = moved(value, start, end, event.key === 'ArrowRight');
    } else return;
    event.preventDefault(); // with Alt, a browser would leave the page
    if (change) edit(area, change);
  }, true);
})();
