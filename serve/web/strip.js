// The server strip: a look at /metrics each second, while somebody can see it.

import { byId, count, fine } from "./dom.js";
import { describeModel, facts, readMetrics } from "./server.js";

const PERIOD_MS = 1000;
const KEPT = 60;
const speeds = [];
let last = null;

export function startStrip() {
  byId("model-card").textContent = facts.name ? describeModel() : "";
  setInterval(tick, PERIOD_MS);
}

export const refreshCard = () => (byId("model-card").textContent = describeModel());

async function tick() {
  if (document.hidden || byId("server").offsetParent === null || document.documentElement.dataset.state !== "ready") {
    last = null; // the next difference would be over an unknown time
    return;
  }
  let values;
  try {
    values = await readMetrics();
  } catch {
    return;
  }
  const now = { at: performance.now(), values };
  show(now, last);
  last = now;
}

function show(now, before) {
  const get = (name) => now.values.get(`microgpt_${name}`) ?? 0;
  const gained = (name) => (before ? Math.max(0, get(name) - (before.values.get(`microgpt_${name}`) ?? 0)) : 0);
  const set = (name, text) => (document.querySelector(`[data-metric="${name}"]`).textContent = text);
  const speed = before ? (1000 * gained("generated_tokens_total")) / (now.at - before.at) : 0;
  speeds.push(speed);
  if (speeds.length > KEPT) speeds.shift();
  set("speed", count(speed));
  set("running", count(get("running_sequences")));
  set("queued", count(get("queued_sequences")));
  const steps = gained("batch_size_count");
  set("batch", steps ? fine(gained("batch_size_sum") / steps) : "0");
  const prompts = get("prompt_tokens_total");
  set("hits", prompts ? `${Math.round((100 * get("prefix_cache_hit_tokens_total")) / prompts)} %` : "–");
  draw();
}

function draw() {
  const most = Math.max(1, ...speeds);
  const points = speeds.map((speed, i) => `${(240 * (KEPT - speeds.length + i)) / (KEPT - 1)},${34 - (32 * speed) / most}`);
  const svg = byId("sparkline");
  svg.querySelector(".line").setAttribute("points", points.join(" "));
  const first = (240 * (KEPT - speeds.length)) / (KEPT - 1);
  svg.querySelector(".area").setAttribute("points", `${first},36 ${points.join(" ")} 240,36`);
  svg.setAttribute("aria-label", `Tokens per second over the last minute, at most ${count(most)}`);
}
