// What the page knows of the server: which model it is, and whether it answers.

import { send, sendJson, urlOf } from "./api.js";
import { byId, count } from "./dom.js";

const RETRY_MS = 1000;
const SAID = {
  loading: "The model is loading…",
  draining: "The server is shutting down. Waiting for it to come back…",
  failed: "The server could not load its model. Its log says why.",
  lost: "Connection lost. Trying again every second…",
};

/** The model that is served. end_turn: the token that ends its replies. */
export const facts = { name: "model", weight_version: "", parameters: 0, vocab_size: 0, context: 0, chat: false, end_turn: null };

const listeners = [];
let looking = null;

/** Tells one model and its weights from another: what other weights said means nothing to these. */
export const fingerprint = () => [facts.name, facts.parameters, facts.vocab_size, facts.context, facts.weight_version].join("/");

/** Calls back whenever the server begins to answer, at first and after each time that it was lost. */
export const onReady = (listener) => listeners.push(listener);

export const isReady = () => document.documentElement.dataset.state === "ready";

/** Asks /health until it says "ok". One such search at a time. */
export const look = () => (looking ??= search().finally(() => (looking = null)));

async function search() {
  for (let status; (status = await health()) !== "ok"; ) {
    say(status === "lost" || status === "failed" ? status : "loading", SAID[status] ?? "");
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  const info = await sendJson("model_info").catch(() => null); // refused without a key: sizes are known, that will do
  if (info) {
    facts.name = info.model_path.split("/").findLast(Boolean) ?? "model";
    facts.weight_version = info.weight_version;
  }
  say("ready", "");
  for (const listener of listeners) listener();
}

async function health() {
  try {
    const { status, model } = await (await fetch(urlOf("health"), { cache: "no-store" })).json();
    Object.assign(facts, model);
    return status;
  } catch {
    return "lost";
  }
}

function say(state, text) {
  const line = byId("connection");
  document.documentElement.dataset.state = state;
  line.hidden = !text;
  if (line.textContent !== text) line.textContent = text; // said once, not each second
}

export const describeModel = () =>
  facts.context ? `${count(facts.parameters)} parameters, ${count(facts.context)} tokens of context, a vocabulary of ${count(facts.vocab_size)}` : "";

/** The numbers of /metrics: name (labels dropped, series added up) -> value. */
export async function readMetrics() {
  const values = new Map();
  for (const [, name, value] of (await (await send("metrics")).text()).matchAll(/^([a-z_:]+)(?:\{.*\})? (\S+)$/gm)) {
    values.set(name, (values.get(name) ?? 0) + Number(value));
  }
  return values;
}
