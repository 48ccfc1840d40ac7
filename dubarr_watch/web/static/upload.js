// Videos are dropped or chosen, and go straight into the library, one after the other.
import { base, refresh } from "./live.js";
import { say, tell } from "./tell.js";

const zone = document.getElementById("drop"), input = document.getElementById("choose"), list = zone.querySelector(".uploads");
const limit = Number(input?.dataset.limit ?? 0);
let last = Promise.resolve();

function words(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"], step = bytes ? Math.min(Math.floor(Math.log10(bytes) / 3), 4) : 0;
  return `${(bytes / 1000 ** step).toFixed(step > 1 ? 1 : 0)} ${units[step]}`;
}

function add(file) {
  const item = document.createElement("li"), name = document.createElement("span"), state = document.createElement("span");
  const stop = document.createElement("button"), bar = document.createElement("progress");
  name.textContent = file.name;
  name.className = "title";
  state.className = "soft number";
  state.textContent = "waits";
  stop.type = "button";
  stop.className = "bare";
  stop.textContent = "Stop";
  stop.setAttribute("aria-label", `Stop the upload of ${file.name}`);
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  item.append(name, state, stop, bar);
  list.append(item);
  const ended = (told, wrong = "") => {
    bar.remove();
    state.textContent = told;
    stop.textContent = "Close";
    stop.setAttribute("aria-label", `Close ${file.name}`);
    stop.onclick = () => item.remove();
    if (!wrong) return;
    const note = document.createElement("p");
    note.className = "note bad";
    note.setAttribute("role", "alert");
    note.textContent = wrong;
    item.append(note);
  };
  if (file.size > limit) {
    ended("not sent", `${file.name} has ${words(file.size)}; at most ${words(limit)} can be uploaded (UPLOAD_MAX_GIB).`);
    return;
  }
  let stopped = false;
  stop.onclick = () => { stopped = true; ended("stopped"); };
  last = last.then(() => stopped ? undefined : send(file, state, stop, bar, ended));
}

function send(file, state, stop, bar, ended) {
  return new Promise(done => {
    const request = new XMLHttpRequest();
    request.open("POST", `${base}/upload?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    stop.onclick = () => request.abort();
    request.upload.onprogress = event => {
      bar.value = event.loaded / file.size;
      state.textContent = `${words(event.loaded)} of ${words(file.size)}`;
    };
    request.onload = () => {
      if (request.status < 300) {
        ended("in the library");
        say(`${file.name} is in the library.`);
        refresh();
        return;
      }
      let found = {};
      try { found = JSON.parse(request.responseText); } catch { found = {}; }
      ended("not taken", [found.detail || `It did not work: ${request.status}.`, found.hint].filter(Boolean).join(" "));
    };
    request.onerror = () => ended("broke off", "The connection was lost. Nothing is left of it in the library; choose the file again.");
    request.onabort = () => ended("stopped");
    request.onloadend = done;
    request.send(file);
  });
}

if (limit) {
  input.addEventListener("change", () => { [...input.files].forEach(add); input.value = ""; });
  let depth = 0;
  const carries = event => [...event.dataTransfer?.types ?? []].includes("Files");
  const over = on => document.body.classList.toggle("over-all", on);
  addEventListener("dragenter", event => { if (carries(event)) over(++depth > 0); });
  addEventListener("dragleave", event => { if (carries(event)) over(--depth > 0); });
  addEventListener("dragover", event => { if (carries(event)) event.preventDefault(); });
  addEventListener("drop", event => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    over(false);
    const files = [...event.dataTransfer.files];
    if (files.length) files.forEach(add);
    else tell("Only files can be dropped here.", true);
  });
}
