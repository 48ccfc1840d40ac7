// Plays one line at a time, the original or the dub.
import { say, tell } from "./tell.js";

const player = document.getElementById("player");
let playing = null;

function stop() {
  player.pause();
  playing?.setAttribute("aria-pressed", "false");
  playing = null;
}

function play(button) {
  const again = button === playing;
  stop();
  if (again) return;
  playing = button;
  button.setAttribute("aria-pressed", "true");
  player.src = button.href;
  player.play().catch(error => { if (error.name !== "AbortError" && playing === button) broken(); });
}

function broken() {
  stop();
  tell("This line cannot be played: its track or the original is gone, or cannot be read. The log says more.", true);
}

document.addEventListener("click", event => {
  const button = event.target.closest("[data-play]");
  if (!button) return;
  event.preventDefault();
  play(button);
});
document.addEventListener("keydown", event => {
  const button = event.target.closest?.("[data-play]");
  if (button && event.key === " ") {
    event.preventDefault();
    play(button);
  } else if (event.key === "Escape" && playing) stop();
});
player.addEventListener("ended", () => { stop(); say("Played."); });
player.addEventListener("error", () => { if (playing) broken(); });
