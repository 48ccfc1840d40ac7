// New lines of the log, newest first, and a button that holds them back.

const log = document.getElementById("log"), halt = document.getElementById("halt");
const MOST = 1000;
let held = null, last = Number(log.dataset.last);

function shown(line) {
  const item = document.createElement("li");
  const { exception, stack, ...fields } = line.fields;
  item.className = line.level;
  const time = piece("time", "soft", new Date(line.at).toLocaleTimeString());
  time.dateTime = line.at;
  time.dataset.clock = "";
  const what = piece("span", "what", "");
  what.append(piece("span", "event", line.event), " ",
    piece("span", "fields", Object.entries(fields).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" ")));
  item.append(time, piece("span", "level", line.level), what);
  if (exception) item.append(piece("pre", "", exception));
  return item;
}

function piece(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}

function add(line) {
  if (line.number <= last) return;
  last = line.number;
  document.getElementById("log-empty")?.remove();
  log.prepend(shown(line));
  while (log.children.length > MOST) log.lastChild.remove();
}

halt.hidden = false;
halt.addEventListener("click", () => {
  const paused = held === null;
  halt.setAttribute("aria-pressed", paused);
  if (!paused) held.forEach(add);
  held = paused ? [] : null;
});

for (const time of log.querySelectorAll("[data-clock]")) time.textContent = new Date(time.dateTime).toLocaleTimeString();

new EventSource(log.dataset.stream).addEventListener("line", event => {
  const line = JSON.parse(event.data);
  if (held) held.push(line);
  else add(line);
});
