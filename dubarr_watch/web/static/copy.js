// Copies what stands beside a button, where the browser lets a page do that (https and localhost).
import { tell } from "./tell.js";

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    tell("Copied.");
  });
}
