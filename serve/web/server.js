// What the page knows of the server: which model it is, and whether it answers.

import { sendJson, send, ApiError } from "./api.js";
import { byId, count } from "./dom.js";

const RETRY_MS = 1000;

/** The model that is served. end_turn ends a reply; bos ends a document. */
export const facts = { name: "", weight_version: "", parameters: 0, vocab_size: 0, context: 0, chat: false };

const listeners = [];
let looking = null;

/** Tells one model and its weights from another: what was said by other weights is not compared with these. */
export const fingerprint = () => [facts.name, facts.parameters, facts.vocab_size, facts.context, facts.weight_version].join("/");

/** Calls back whenever the server begins to answer, at first and after each time that it was lost. */
export const onReady = (listener) => listeners.push(listener);

/** Asks /health until it says "ok". One such search at a time. */
export function look() {
  looking ??= search().finally(() => (looking = null));
  return looking;
}

async function search() {
  for (;;) {
    const status = await health();
    if (status === "ok") break;
    state(status === "lost" ? "lost" : "loading", status);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  try {
    const info = await sendJson("model_info");
    facts.name = info.model_path.split("/").findLast(Boolean) ?? "model";
    facts.weight_version = info.weight_version;
  } catch (error) {
    if (!(error instanceof ApiError) || error.isLost) throw error;
    facts.name ||= "model"; // refused without a key: sizes are known, and that is enough to talk
  }
  state("ready", "ok");
  for (const listener of listeners) listener();
}

async function health() {
  try {
    const response = await fetch(new URL("health", document.baseURI), { cache: "no-store" });
    const { status, model } = await response.json();
    Object.assign(facts, model);
    return status;
  } catch {
    return "lost";
  }
}

const SAID = {
  loading: "The model is loading…",
  draining: "The server is shutting down. Waiting for it to come back…",
  failed: "The server could not load its model. Its log says why.",
  lost: "Connection lost. Trying again every second…",
};

function state(name, status) {
  document.documentElement.dataset.state = name;
  const line = byId("connection");
  line.hidden = name === "ready";
  const text = SAID[status] ?? "";
  if (line.textContent !== text) line.textContent = text; // said once, not each second
}

export const describeModel = () =>
  `${facts.name}: ${count(facts.parameters)} parameters, ${count(facts.context)} tokens of context, a vocabulary of ${count(facts.vocab_size)}`;

/** The numbers of /metrics as a Map from name (labels dropped, series added up) to value. */
export async function readMetrics() {
  const text = await (await send("metrics")).text();
  const values = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-z_:]+)(?:\{[^}]*\})? (\S+)/i.exec(line);
    if (match) values.set(match[1], (values.get(match[1]) ?? 0) + Number(match[2]));
  }
  return values;
}
