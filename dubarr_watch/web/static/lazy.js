// Fetches what takes some seconds after the rest of the page is there.
import { morph } from "./morph.js";
import { problem } from "./tell.js";

for (const place of document.querySelectorAll("[data-lazy]")) fill(place);

async function fill(place) {
  try {
    const answer = await fetch(place.dataset.lazy, { headers: { "X-Regions": place.id, Accept: "text/html, application/json" } });
    if (!answer.ok) throw new Error(await problem(answer));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(place.id);
    morph(place, fresh);
  } catch (error) {
    place.textContent = "";
    const note = document.createElement("p");
    note.className = "note bad";
    note.textContent = `It could not be looked at: ${error.message}`;
    place.append(note);
  }
}
