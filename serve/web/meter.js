// The context meter: every position of the model's context as a cell, or as many positions a cell as fit four rows.

import { byId, count, perFrame } from "./dom.js";
import { facts } from "./server.js";

const CELL = 4; // CSS pixels, gap included
const HEIGHT = 8;
const ROWS = 3;
let state = { dropped: 0, prompt: 0, draft: 0, reply: 0 };

/** dropped: tokens of the conversation that the model does not see; draft: how many of `prompt` are being typed. */
export function showMeter(next) {
  state = { draft: 0, ...next };
  redraw();
}

export const redraw = perFrame(draw);

export function startMeter() {
  new ResizeObserver(redraw).observe(byId("meter"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

function draw() {
  const canvas = byId("meter-cells");
  const width = canvas.parentElement.clientWidth;
  const size = facts.context;
  if (!width || !size) return;
  const { dropped, prompt, draft, reply } = state;
  const free = Math.max(0, size - prompt - reply);
  say({ dropped, prompt, reply, free, size });

  const perRow = Math.max(1, Math.floor(width / CELL));
  const share = Math.ceil(size / (ROWS * perRow)); // positions a cell
  const cells = Math.ceil(size / share);
  const rows = Math.ceil(cells / perRow);
  const columns = Math.ceil(cells / rows);
  const scale = devicePixelRatio || 1;
  const pitch = width / columns;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(rows * HEIGHT * scale);
  canvas.style.setProperty("--height", `${rows * HEIGHT}px`);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const color = (name) => style.getPropertyValue(name).trim();
  // Kinds differ in shape as well as in colour: full, outlined below, half, a dot.
  const kinds = {
    prompt: { color: color("--meter-prompt"), top: 0, height: 6 },
    draft: { color: color("--meter-draft"), top: 2, height: 4 },
    reply: { color: color("--meter-reply"), top: 0, height: 6 },
    free: { color: color("--meter-free"), top: 4, height: 2 },
  };
  for (let i = 0; i < cells; i++) {
    const at = i * share;
    const kind = kinds[at < prompt - draft ? "prompt" : at < prompt ? "draft" : at < prompt + reply ? "reply" : "free"];
    context.fillStyle = kind.color;
    const x = (i % columns) * pitch;
    const y = Math.floor(i / columns) * HEIGHT;
    context.fillRect(x, y + kind.top, Math.max(1, pitch - 1), kind.height);
    if (kind === kinds.reply) context.clearRect(x, y + 3, Math.max(1, pitch - 1), 1);
  }
}

function say(numbers) {
  const text = byId("meter-text");
  const { dropped, prompt, reply, free, size } = numbers;
  for (const [name, value] of Object.entries(numbers)) text.dataset[name] = value;
  const parts = { prompt: `${count(prompt)} prompt`, reply: `${count(reply)} reply`, free: `${count(free)} free of ${count(size)} tokens` };
  const words = Object.entries(parts).map(([kind, words]) => swatch(kind, words));
  text.replaceChildren(...(dropped ? [swatch("dropped", `${count(dropped)} dropped`)] : []), ...words);
  byId("meter-cells").setAttribute("aria-label", `Context: ${Object.values(parts).join(", ")}; ${count(dropped)} dropped`);
}

function swatch(kind, words) {
  const span = document.createElement("span");
  span.className = `swatch ${kind}`;
  span.textContent = words;
  return span;
}
