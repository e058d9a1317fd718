// The context meter: a cell for each position of the context, or for several if they need more than three rows.

import { byId, count, el, perFrame } from "./dom.js";
import { facts } from "./server.js";

const CELL = 4; // CSS pixels, gap included
const ROW = 8;
const ROWS = 3;
let state = { dropped: 0, prompt: 0, reply: 0, free: 0 };

/** dropped: tokens of the conversation that the model does not see. draft: how many of `prompt` are being typed. */
export function showMeter(next) {
  state = { ...next, free: Math.max(0, facts.context - next.prompt - next.reply) };
  say(state);
  redraw();
}

export const redraw = perFrame(() => {
  const { dropped, prompt, reply, free, draft = 0 } = state;
  // What is dropped comes first, in cells of its own, and never takes more room than the context itself.
  const ends = [Math.min(dropped, facts.context), prompt - draft, draft, reply, free].reduce((sums, n) => [...sums, n + (sums.at(-1) ?? 0)], []);
  draw(ends);
});

/** ends: where the cells of each kind end. */
function draw(ends) {
  const canvas = byId("meter-cells");
  const width = canvas.parentElement.clientWidth;
  if (!width || !ends.at(-1)) return;
  const most = ROWS * Math.floor(width / CELL);
  const share = Math.ceil(ends.at(-1) / most); // positions a cell
  const cells = Math.ceil(ends.at(-1) / share);
  const rows = Math.ceil((cells * CELL) / width);
  const columns = Math.ceil(cells / rows);
  const pitch = width / columns;
  const scale = devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = rows * ROW * scale;
  canvas.style.setProperty("--height", `${rows * ROW}px`);
  const context = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  context.scale(scale, scale);
  // Kinds differ in shape as well as in colour: hollow, full, low, parted, a line. Numbers are [top, height] of bars.
  const kinds = [
    ["--accent", [0, 1], [5, 1]],
    ["--soft", [0, 6]],
    ["--soft", [3, 3]],
    ["--accent", [0, 3], [4, 2]],
    ["--line", [4, 2]],
  ];
  for (let i = 0; i < cells; i++) {
    const [color, ...bars] = kinds[ends.findIndex((end) => i * share < end)];
    context.fillStyle = style.getPropertyValue(color);
    for (const [top, height] of bars) context.fillRect((i % columns) * pitch, Math.floor(i / columns) * ROW + top, pitch - 1, height);
  }
}

function say({ dropped, prompt, reply, free, draft }) {
  const text = byId("meter-text");
  Object.assign(text.dataset, { dropped, prompt, reply, free });
  const words = { dropped: `${count(dropped)} dropped`, prompt: `${count(prompt)} prompt${draft ? ` (${count(draft)} draft)` : ""}`, reply: `${count(reply)} reply`, free: `${count(free)} free of ${count(facts.context)}` };
  text.replaceChildren(...Object.keys(words).filter((kind) => kind !== "dropped" || dropped).map((kind) => el("span", { class: `swatch ${kind}` }, words[kind])));
  byId("meter-cells").setAttribute("aria-label", `Context in tokens: ${Object.values(words).join(", ")}`);
}

export function startMeter() {
  new ResizeObserver(redraw).observe(byId("meter"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
