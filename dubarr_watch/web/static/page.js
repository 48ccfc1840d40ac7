// Starts what a page needs; without any of it the page can still be read.
import "./forms.js";
import "./times.js";
import { listen } from "./live.js";

const rooms = { "#drop": "./upload.js", "#next": "./order.js", "#player": "./player.js", "#log": "./log.js", "[data-copy]": "./copy.js", "[data-lazy]": "./lazy.js" };

const modules = Object.keys(rooms).filter(mark => document.querySelector(mark)).map(mark => import(rooms[mark]));
listen();
await Promise.all(modules);
document.documentElement.dataset.ready = "";
