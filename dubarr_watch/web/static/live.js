// One stream of events; regions that an event is about are fetched anew and put in place.
import { morph } from "./morph.js";
import { say, tell } from "./tell.js";

export const base = document.documentElement.dataset.base;
const offline = document.getElementById("offline");
const LOST_MS = 3000, AGAIN_MS = 5000, PAUSE_MS = 300, OFTEN_MS = 4000;
const ends = { done: "is dubbed", done_with_warnings: "is dubbed, with lines to check", failed: "failed", cancelled: "was cancelled", skipped: "was skipped" };
const reasons = { 401: "You are not logged in any more: load the page anew.", 403: "You are not let in any more: load the page anew.", 404: "This is not there any more." };
const states = new Map();
let wanted = new Set(), timer = 0, fetching = false, lost = 0, held = 0, notice = null;

/** Fetch all regions of this page, or those that are named, and put them in place. */
export async function refresh(names = all()) {
  names.forEach(name => wanted.add(name));
  if (fetching || held || !wanted.size) return;
  const now = [...wanted];
  wanted = new Set();
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { "X-Regions": now.join(" "), Accept: "text/html" } });
    if (answer.ok) {
      place(await answer.text());
      notice?.remove();
      notice = null;
    } else {
      grewOld(answer.status, now);
    }
  } catch {
    return;  // the stream tells whether the connection is lost
  } finally {
    fetching = false;
  }
  if (wanted.size) later();
}

// What is shown is left as it is, with a word about it; what may pass is tried again.
function grewOld(status, names) {
  notice ||= tell(`${reasons[status] || `dubarr-watch answered with an error (${status}); its log says why.`} What you see may be old.`, true);
  if (status >= 500 || status === 429) setTimeout(() => refresh(names), AGAIN_MS);
}

/** Put regions in place only after `release` was called as often as `hold`. */
export function hold() { held += 1; }
export function release() { held -= 1; refresh([]); }

function all() { return [...document.querySelectorAll("[data-live]")].map(region => region.id); }

function later() {
  if (!timer) timer = setTimeout(() => { timer = 0; refresh([]); }, PAUSE_MS);
}

function place(text) {
  const focused = document.activeElement;
  for (const fresh of new DOMParser().parseFromString(text, "text/html").body.children) {
    const old = document.getElementById(fresh.id);
    if (old) morph(old, fresh);
  }
  if (focused !== document.activeElement && focused.id) document.getElementById(focused.id)?.focus();
  document.dispatchEvent(new CustomEvent("placed"));
}

function heard(name, data) {
  for (const region of document.querySelectorAll("[data-live]")) {
    const fits = region.dataset.live.split(" ").some(word => {
      const [event, id] = word.split(":");
      return event === name && (!id || id === String(data.id ?? data));
    });
    if (fits) wanted.add(region.id);
  }
  if (wanted.size) later();
  if (name === "job") announce(data);
}

function announce(job) {
  const before = states.get(job.id);
  states.set(job.id, job.state);
  if (before && before !== job.state && ends[job.state]) say(`${job.name} ${ends[job.state]}.`);
}

// What no event tells of, such as memory that other programs use, is looked at now and then.
if (document.querySelector("[data-often]")) {
  setInterval(() => {
    if (document.visibilityState === "visible" && offline.hidden) refresh([...document.querySelectorAll("[data-often]")].map(region => region.id));
  }, OFTEN_MS);
}

export function listen() {
  const source = new EventSource(`${base}/api/v1/events`);
  for (const name of ["status", "job", "queue", "counts", "leases", "task", "video"]) {
    source.addEventListener(name, event => {
      const data = JSON.parse(event.data);
      if (name === "status") [...data.running, ...data.queue].forEach(job => states.set(job.id, job.state));
      heard(name, data);
    });
  }
  source.onopen = () => {
    clearTimeout(lost);
    lost = 0;
    offline.hidden = true;
    document.documentElement.dataset.liveSince = new Date().toISOString();
    refresh();
  };
  source.onerror = () => {
    lost ||= setTimeout(() => { offline.hidden = false; }, LOST_MS);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  };
}
