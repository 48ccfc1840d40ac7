// Keeps "5 minutes ago" true, and shows the reader's own time where the pointer rests.

const units = [[86400, "day"], [3600, "hour"], [60, "minute"]];

function show() {
  for (const time of document.querySelectorAll("time[datetime]:not([data-clock])")) {
    const at = new Date(time.dateTime), seconds = (Date.now() - at) / 1000;
    const unit = units.find(([length]) => seconds >= length);
    const count = unit && Math.floor(seconds / unit[0]);
    time.textContent = unit ? `${count} ${unit[1]}${count === 1 ? "" : "s"} ago` : "just now";
    time.title = at.toLocaleString();
  }
}

show();
setInterval(show, 20000);
document.addEventListener("placed", show);
