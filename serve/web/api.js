// Everything that goes over the network: requests, refusals, the key, the stream of /generate.

import { events } from "./sse.js";

const KEY = "microgpt.key";
let hooks = {};
let asking = null;

/** A refusal. status 0: no answer came. retryAfter: seconds, or null where the server named none. */
export class ApiError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    Object.assign(this, { status, retryAfter, isLost: status === 0, mayPass: status === 429 || status === 503 });
  }
}

/** askForKey(wasWrong) -> whether there is a key to try now; lost(): the server does not answer, or not yet. */
export const onTrouble = (found) => (hooks = found);

export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const urlOf = (path) => new URL(path, document.baseURI).href;

/** The answer to a GET, or with `body` to a POST of it as JSON. Raises ApiError for any status but 2xx. */
export async function send(path, body, signal) {
  const headers = { "content-type": "application/json" };
  if (hasKey()) headers.authorization = `Bearer ${sessionStorage.getItem(KEY)}`;
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(urlOf(path), { ...init, headers, signal, cache: "no-store" }).catch(raiseLost);
  if (response.ok) return response;
  if (response.status === 401) {
    asking ??= hooks.askForKey(hasKey()).finally(() => (asking = null));
    if (await asking) return send(path, body, signal);
  }
  const seconds = Number.parseInt(response.headers.get("retry-after"), 10);
  const message = messageOf(await response.json().catch(() => null)) ?? `The server answered ${response.status}.`;
  throw new ApiError(response.status, message, Number.isNaN(seconds) ? null : seconds);
}

export const sendJson = async (...request) => (await send(...request)).json().catch(raiseLost);

/** The chunks of a streamed /generate. Raises ApiError if it is refused, or breaks off before its end. */
export async function* generate(body, signal) {
  const response = await send("generate", { ...body, stream: true }, signal);
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.code ?? 500, messageOf(chunk));
      yield chunk;
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    raiseLost(error);
  }
  raiseLost(new Error());
}

/** Runs `ask` again for as long as the server says "not now", waiting as long as it says; onWait(seconds left, why). */
export async function patiently(ask, { signal, onWait }) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!error.mayPass || error.retryAfter === null) throw error;
      for (let left = Math.max(1, error.retryAfter); left >= 0; left--) {
        onWait(left, error);
        if (left) await pause(1000, signal);
      }
    }
  }
}

/** Resolves after `ms`; rejects as soon as `signal` says so. */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

function raiseLost(error) {
  if (error.name === "AbortError") throw error;
  hooks.lost();
  throw new ApiError(0, "The connection to the server was lost.");
}

/** The message in any of the shapes that errors have: {"error": text}, {"error": {"message"}}, {"message"}. */
const messageOf = (body) => [body?.error?.message, body?.error, body?.message].find((each) => typeof each === "string");
