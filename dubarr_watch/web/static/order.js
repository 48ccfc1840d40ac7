// Jobs of the queue are dragged into another order, by mouse or finger; buttons do the same.
import { hold, refresh, release } from "./live.js";
import { problem, say, tell } from "./tell.js";

const next = document.getElementById("next");

function ready() {
  for (const grip of next.querySelectorAll(".grip[hidden]")) grip.hidden = false;
}

function rows(list) { return [...list.children].filter(row => row.querySelector(".grip")); }

next.addEventListener("pointerdown", event => {
  const grip = event.target.closest(".grip");
  if (!grip || event.button) return;
  event.preventDefault();
  const row = grip.closest("li"), list = row.parentElement, before = rows(list).indexOf(row);
  hold();
  row.classList.add("lifted");
  grip.setPointerCapture(event.pointerId);

  // The others are moved around it: what is taken out of the page loses the pointer.
  const move = at => {
    const others = rows(list), place = others.indexOf(row);
    const middle = other => { const box = other.getBoundingClientRect(); return box.top + box.height / 2; };
    for (const other of others.slice(0, place).reverse()) if (at.clientY < middle(other)) row.after(other);
    for (const other of others.slice(place + 1)) if (at.clientY > middle(other)) row.before(other);
  };
  const drop = async () => {
    grip.removeEventListener("pointermove", move);
    row.classList.remove("lifted");
    const now = rows(list), place = now.indexOf(row);
    try {
      if (place !== before) await send(list, row, now[place + 1]);
    } finally {
      release();
      refresh();
    }
  };
  grip.addEventListener("pointermove", move);
  grip.addEventListener("lostpointercapture", drop, { once: true });
});

async function send(list, row, following) {
  const body = new URLSearchParams({ before: following?.dataset.id ?? "" });
  const answer = await fetch(`${list.dataset.order}/${row.dataset.id}/move`, { method: "POST", body, headers: { Accept: "application/json" } });
  if (answer.ok) say((await answer.json()).told);
  else tell(await problem(answer), true);
}

ready();
document.addEventListener("placed", ready);
