// Starts what a page needs; without any of it the page can still be read.
import "./forms.js";
import "./times.js";
import { listen } from "./live.js";

const rooms = { "#drop": "./upload.js", "#next": "./order.js", "#player": "./player.js", "#log": "./log.js", "[data-copy]": "./copy.js", "[data-lazy]": "./lazy.js" };

for (const [mark, module] of Object.entries(rooms)) if (document.querySelector(mark)) import(module);
listen();
