// The server strip: a look at /metrics each second, while somebody can see it.

import { byId, count, el } from "./dom.js";
import { isReady, readMetrics } from "./server.js";

const PERIOD_MS = 1000;
const KEPT = 60;
const [WIDTH, HEIGHT] = [240, 36];
const LABELS = { speed: "Tokens/s", running: "Running", queued: "Queued", batch: "Batch size", hits: "Cache hits" };
let speeds = Array(KEPT).fill(0);
let last = null; // {at, values}

export function startStrip() {
  const rows = Object.entries(LABELS).map(([name, label]) => el("div", {}, el("dt", {}, label), el("dd", { "data-metric": name }, "–")));
  document.querySelector("#server dl").append(...rows);
  setInterval(tick, PERIOD_MS);
}

async function tick() {
  const isSeen = !document.hidden && byId("server").checkVisibility() && isReady();
  const values = isSeen && (await readMetrics().catch(() => null));
  if (values) show({ at: performance.now(), values });
  else last = null; // the next difference would be over an unknown time
}

function show(now) {
  const get = (name, { values } = now) => values.get(`microgpt_${name}`) ?? 0;
  const gained = (name) => (last ? Math.max(0, get(name) - get(name, last)) : 0);
  const set = (name, text) => (document.querySelector(`[data-metric="${name}"]`).textContent = text);
  const speed = last ? (1000 * gained("generated_tokens_total")) / (now.at - last.at) : 0;
  const steps = gained("batch_size_count");
  const prompts = get("prompt_tokens_total");
  set("speed", count(speed));
  set("running", count(get("running_sequences")));
  set("queued", count(get("queued_sequences")));
  set("batch", steps ? (gained("batch_size_sum") / steps).toFixed(1) : "0");
  set("hits", prompts ? `${Math.round((100 * get("prefix_cache_hit_tokens_total")) / prompts)} %` : "–");
  last = now;
  speeds = [...speeds.slice(1), speed];
  const most = Math.max(1, ...speeds);
  const points = speeds.map((each, i) => `${(WIDTH * i) / (KEPT - 1)},${HEIGHT - 1 - ((HEIGHT - 3) * each) / most}`);
  const line = byId("sparkline");
  line.firstElementChild.setAttribute("points", points.join(" "));
  line.setAttribute("aria-label", `Tokens per second over the last minute, at most ${count(most)}`);
}
