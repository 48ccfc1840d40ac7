// Words that appear for a while, and words for those who listen instead of looking.

const told = document.getElementById("told"), toasts = document.getElementById("toasts");
const SHOWN_MS = 6000;

/** Say something to screen readers only. */
export function say(words) {
  told.textContent = "";
  setTimeout(() => { told.textContent = words; }, 50);
}

/** Show words in a corner, and return them; what went wrong stays until it is closed or removed. */
export function tell(words, wrong = false) {
  const toast = document.createElement("div"), text = document.createElement("span"), close = document.createElement("button");
  toast.className = wrong ? "toast bad" : "toast";
  toast.setAttribute("role", wrong ? "alert" : "status");
  text.className = "grow";
  text.textContent = words;
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", "Close");
  close.addEventListener("click", () => toast.remove());
  toast.append(text, close);
  toasts.append(toast);
  if (!wrong) setTimeout(() => toast.remove(), SHOWN_MS);
  return toast;
}

/** Return a problem's words, whatever answered. */
export async function problem(answer) {
  const found = await answer.json().catch(() => ({}));
  return [found.detail || `It did not work: ${answer.status} ${answer.statusText}.`, found.hint].filter(Boolean).join(" ");
}
