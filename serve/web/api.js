// Everything that goes over the network: requests, refusals, the key, the stream of /generate.

import { events } from "./sse.js";

const KEY = "microgpt.key";
const hooks = { askForKey: async () => false, lost: () => {} };
let asking = null;

/** A refusal. status 0: no answer came. retryAfter: seconds, or null where the server named none. */
export class ApiError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get isLost() {
    return this.status === 0;
  }

  get mayPass() {
    return this.status === 429 || this.status === 503;
  }
}

/** askForKey(wasWrong) -> whether there is a key to try now; lost(): a request got no answer. */
export function onTrouble({ askForKey, lost }) {
  Object.assign(hooks, { askForKey, lost });
}

export const keepKey = (key) => sessionStorage.setItem(KEY, key);

export const urlOf = (path) => new URL(path, document.baseURI).href;

/** The answer to a GET, or with `body` to a POST of it as JSON. Raises ApiError for any status but 2xx. */
export async function send(path, { body, signal } = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await fetch(urlOf(path), {
    method: body === undefined ? "GET" : "POST",
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    cache: "no-store",
  }).catch((error) => {
    throw asLost(error);
  });
  if (response.ok) return response;
  if (response.status === 401) {
    asking ??= hooks.askForKey(Boolean(key)).finally(() => (asking = null));
    if (await asking) return send(path, { body, signal });
  }
  throw await refusal(response);
}

export async function sendJson(path, options) {
  const response = await send(path, options);
  return response.json().catch((error) => {
    throw asLost(error);
  });
}

/** The chunks of a streamed /generate. Raises ApiError if it is refused, or breaks off before its end. */
export async function* generate(body, signal) {
  const response = await send("generate", { body: { ...body, stream: true }, signal });
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(chunk.error.code ?? 500, messageOf(chunk) ?? "The server failed");
      yield chunk;
    }
  } catch (error) {
    throw error instanceof ApiError ? error : asLost(error);
  }
  throw asLost(new Error("The stream ended early"));
}

/** Runs `ask` again for as long as the server says "not now", waiting as long as it says; onWait(seconds left). */
export async function patiently(ask, { signal, onWait }) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError) || !error.mayPass || error.retryAfter === null) throw error;
      for (let left = Math.max(1, error.retryAfter); left > 0; left--) {
        onWait(left, error);
        await pause(1000, signal);
      }
      onWait(0, error);
    }
  }
}

/** Resolves after `ms`; rejects with an AbortError as soon as `signal` says so. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

function asLost(error) {
  if (error.name === "AbortError") return error;
  hooks.lost();
  return new ApiError(0, "The connection to the server was lost.");
}

async function refusal(response) {
  const body = await response.json().catch(() => null);
  const retryAfter = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  const message = messageOf(body) ?? `The server answered ${response.status}`;
  return new ApiError(response.status, message, Number.isFinite(retryAfter) ? retryAfter : null);
}

/** The message in any of the shapes that errors have: {"error": text}, {"error": {"message"}}, {"message"}. */
function messageOf(body) {
  const message = body?.error?.message ?? body?.error ?? body?.message;
  return typeof message === "string" ? message : null;
}
