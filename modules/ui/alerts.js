// When pictures are done: a sound, a notification, the title of the tab, and a screen that stays on until then. A page
// looks at the queue only while something is made or a moment ago was; what is wanted is kept in the browser.
(() => {
  const {say} = window.easel;
  const KEY = 'easel-alerts', PAUSE = 2000, IDLE = 10, FRESH = 10; // milliseconds between looks; looks at nothing; seconds
  const usual = {...window.easel.settings.alerts, notify: false};
  const wishes = (() => {
    try {
      return {...usual, ...JSON.parse(localStorage.getItem(KEY) ?? '{}')};
    } catch {
      return {...usual};
    }
  })();
  const keep = () => {
    try {
      localStorage.setItem(KEY, JSON.stringify(wishes));
    } catch { /* a browser that keeps nothing: it holds until the page goes */ }
  };

  // Two tones of a bell. A browser lets a page sound once somebody has touched it.
  let audio = null;
  const ready = () => {
    if (!wishes.sound) return;
    audio ??= new AudioContext();
    if (audio.state === 'suspended') audio.resume();
  };
  for (const kind of ['pointerdown', 'keydown']) document.addEventListener(kind, ready, {capture: true, passive: true});
  const ring = () => {
    audio ??= new AudioContext();
    audio.resume();
    for (const [at, pitch] of [[0, 660], [0.16, 880]]) {
      const [tone, level, now] = [audio.createOscillator(), audio.createGain(), audio.currentTime + at];
      tone.frequency.value = pitch;
      level.gain.setValueAtTime(0, now);
      level.gain.linearRampToValueAtTime(0.4 * (wishes.volume / 100) ** 2, now + 0.01);
      level.gain.exponentialRampToValueAtTime(0.0001, now + 0.7);
      tone.connect(level).connect(audio.destination);
      tone.start(now);
      tone.stop(now + 0.75);
    }
    window.easel.rung = (window.easel.rung ?? 0) + 1;
  };

  const away = () => document.hidden || !document.hasFocus();
  const told = (job) => {
    if (job.status === 'stopped') return; // by somebody, who knows
    if (wishes.sound) ring();
    if (!wishes.notify || !away() || !('Notification' in window) || Notification.permission !== 'granted') return;
    const head = job.status !== 'done' ? say.failed : job.pictures ? say.made.replace('{count}', job.pictures) : say.ended;
    const shown = new Notification('Easel', {body: [head, job.words].filter(Boolean).join('\n'), tag: 'easel'});
    shown.addEventListener('click', () => {
      window.focus();
      shown.close();
    });
  };

  // The screen stays on while something is made and the page is seen; a browser lets go of it when the page is hidden.
  let lock = null;
  const awake = async (on) => {
    if (!navigator.wakeLock) return;
    if (on && wishes.awake && !document.hidden) {
      if (!lock || lock.released) lock = await navigator.wakeLock.request('screen').catch(() => null);
    } else if (lock) {
      lock.release();
      lock = null;
    }
  };

  const span = (seconds) => {
    const whole = Math.max(1, Math.round(seconds));
    const parts = {hours: Math.floor(whole / 3600), minutes: Math.floor(whole / 60) % 60, seconds: whole % 60};
    const text = parts.hours ? say.hours : parts.minutes ? say.minutes : say.seconds;
    return text.replace(/{(\w+)}/g, (_, name) => parts[name]);
  };
  const title = (job) => {
    // A tab that shows its progress says so itself.
    if (!document.hidden && [...document.querySelectorAll('.studio')].some((each) => each.offsetParent)) return;
    const parts = job?.status === 'running' && job.fraction ? [`${Math.round(job.fraction * 100)}%`] : [];
    if (parts.length && job.seconds_left) parts.push(span(job.seconds_left));
    document.title = `${parts.length ? `[${parts.join(' ')}] ` : ''}Easel`;
  };

  let idle = IDLE - 1, looking = false, clock = null;
  let live = new Set(), known = null; // jobs that were seen in the queue, and those that are over
  // The clock of a page that is hidden goes slow; that of a worker does not.
  const start = () => {
    if (clock) return;
    clock = new Worker(URL.createObjectURL(new Blob([`setInterval(() => postMessage(0), ${PAUSE})`])));
    clock.addEventListener('message', look);
  };
  const look = async () => {
    if (looking || idle >= IDLE) return;
    looking = true;
    try {
      const now = await (await fetch('/easel/now')).json();
      const over = now.ended.filter(({id}) => known && !known.has(id));
      const news = over.find(({id, seconds}) => live.has(id) || seconds < FRESH);
      if (news) told(news);
      known = new Set(now.ended.map(({id}) => id));
      live = new Set(now.live.map(({id}) => id));
      idle = now.live.length ? 0 : idle + 1;
      if (!idle) start();
      title(now.live[0]);
      await awake(now.live.length > 0);
    } catch { // the server is away, and may come back
    }
    looking = false;
  };
  // Begins when the page shows that something is made.
  const begin = () => {
    if (idle < IDLE || !document.querySelector('.progress:is(.running, .queued)')) return;
    idle = 0;
    start();
    look();
  };
  look();
  new MutationObserver(begin).observe(document.body, {subtree: true, childList: true});
  document.addEventListener('visibilitychange', () => { if (idle < IDLE) look(); });

  // The switches, for the dialog that shows them. Each answers with a sentence where the browser does not allow it.
  const allowed = async () => {
    if (!window.isSecureContext || !('Notification' in window)) return say.notify_insecure;
    const answer = Notification.permission === 'default' ? await Notification.requestPermission() : Notification.permission;
    return answer === 'granted' ? '' : say.notify_denied;
  };
  window.easel.alerts = {
    wishes,
    ring,
    set: async (name, value) => {
      const refused = name === 'notify' && value ? await allowed() : name === 'awake' && value && !navigator.wakeLock ? say.awake_lacking : '';
      wishes[name] = refused ? false : value;
      keep();
      if (name === 'sound' && value) ring();
      if (name === 'awake') await awake(live.size > 0);
      return refused;
    },
  };
})();
