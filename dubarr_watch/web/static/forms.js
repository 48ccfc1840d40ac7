// Sends forms that change something without leaving the page, and asks first where that is wise.
import { refresh } from "./live.js";
import { problem, tell } from "./tell.js";

const dialog = document.getElementById("sure");

document.addEventListener("submit", async event => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  const button = event.submitter, body = new URLSearchParams(new FormData(form, button));
  if (form.dataset.sure) {
    if (!await sure(form.dataset.sure, button?.textContent.trim() || "Yes")) return;
    body.set("sure", "yes");
  }
  button?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    if (!answer.ok) {
      tell(await problem(answer), true);
      return;
    }
    const { told, go } = await answer.json();
    if (go) {
      location.assign(go);
      return;
    }
    if (told) tell(told);
    form.closest("details[data-closes]")?.removeAttribute("open");
    await refresh();
  } catch {
    tell("dubarr-watch does not answer. Nothing was changed.", true);
  } finally {
    button?.removeAttribute("aria-busy");
  }
});

function sure(words, yes) {
  document.getElementById("sure-words").textContent = words;
  document.getElementById("sure-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise(answered => {
    dialog.addEventListener("close", () => answered(dialog.returnValue === "yes"), { once: true });
  });
}
