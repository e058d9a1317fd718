// Making replies: from token ids and sampling_params to tokens and text, without any view.

import { ApiError, generate, patiently, sendJson } from "./api.js";
import { fingerprint } from "./server.js";

/** A reply in which nothing is said yet but the tokens `forced`, chosen by hand. */
export function newReply(prompt_ids, params, dropped, forced = []) {
  return {
    prompt_ids, params, dropped, forced: forced.length, output_ids: [...forced],
    finish: null, first_ms: 0, total_ms: 0, model: fingerprint(),
  };
}

/** The body of /generate that makes what came after the forced tokens: of a reply cut short, exactly as much. */
export function requestOf(reply) {
  const ended = reply.finish === "stop" || reply.finish === "length";
  const wanted = ended ? reply.params.max_new_tokens : reply.output_ids.length;
  return {
    input_ids: [...reply.prompt_ids, ...reply.output_ids.slice(0, reply.forced)],
    sampling_params: { ...reply.params, max_new_tokens: wanted - reply.forced },
  };
}

/** Takes chunks of /generate, whole (SGLang's usual way) or each with only what is new, and has all of it. */
export class Collected {
  ids = [];
  text = "";
  finish = null;

  add(chunk) {
    const { completion_tokens, finish_reason } = chunk.meta_info;
    const whole = chunk.output_ids.length === completion_tokens;
    this.ids = whole ? chunk.output_ids : [...this.ids, ...chunk.output_ids];
    this.text = whole ? chunk.text : this.text + chunk.text;
    this.finish = finish_reason;
  }
}

/** Starts a stream; waits where the server asks for it. Returns its chunks. */
export async function startStream(body, { signal, onWait }) {
  const { chunks, first } = await patiently(async () => {
    const chunks = generate(body, signal);
    return { chunks, first: await chunks.next() };
  }, { signal, onWait });
  return (async function* () {
    if (!first.done) yield first.value;
    yield* chunks;
  })();
}

/**
 * Lets the model go on with `reply` until it ends, reaches max_new_tokens, or `signal` stops it; onText(text so far).
 * Mutates reply. Returns the whole text; what went wrong is in reply.finish, and in the `error` returned.
 */
export async function extend(reply, textBefore, { signal, onText, onWait }) {
  const before = reply.output_ids;
  const sent = performance.now();
  const spent = reply.total_ms;
  const got = new Collected();
  let text = textBefore;
  let error = null;
  reply.finish = null;
  try {
    const body = {
      input_ids: [...reply.prompt_ids, ...before],
      sampling_params: { ...reply.params, max_new_tokens: reply.params.max_new_tokens - before.length },
    };
    for await (const chunk of await startStream(body, { signal, onWait })) {
      got.add(chunk);
      reply.total_ms = spent + performance.now() - sent;
      reply.first_ms ||= reply.total_ms;
      reply.output_ids = before.length ? [...before, ...got.ids] : got.ids;
      text = textBefore + got.text;
      onText(text);
    }
    reply.finish = finishOf(got.finish);
    if (reply.finish === "failed") error = new ApiError(500, got.finish?.message ?? "The server gave up.");
  } catch (problem) {
    if (problem.name !== "AbortError" && !(problem instanceof ApiError)) throw problem;
    reply.finish = problem.name === "AbortError" ? "stopped" : problem.isLost ? "lost" : "failed";
    error = problem.name === "AbortError" ? null : problem;
  }
  // Two texts joined may have cut a character in two; the tokens together have not.
  const joined = before.length > 0 || reply.finish === "stopped";
  if (joined && reply.finish !== "lost") text = await textOf(reply.output_ids).catch(() => text);
  return { text, error };
}

export async function textOf(ids) {
  return ids.length ? (await sendJson("detokenize", { body: { tokens: ids } })).text : "";
}

/** Asks for `reply` again, all else being equal, and compares. Returns {identical, at, same, total, sameText, sameModel}. */
export async function replay(reply, text) {
  const answer = await sendJson("generate", { body: requestOf(reply) });
  const made = reply.output_ids.slice(reply.forced);
  const differs = Math.max(made.length, answer.output_ids.length) ? firstDifference(made, answer.output_ids) : -1;
  const sameText = text.endsWith(answer.text);
  return {
    identical: differs === -1 && sameText,
    at: differs === -1 ? null : reply.forced + differs,
    count: made.length,
    sameModel: reply.model === fingerprint(),
  };
}

function firstDifference(a, b) {
  const i = a.findIndex((id, at) => id !== b[at]);
  return i !== -1 ? i : b.length > a.length ? a.length : -1;
}

function finishOf(reason) {
  if (reason?.type === "stop" || reason?.type === "length") return reason.type;
  return "failed";
}

/** "18 tokens · first after 12 ms · 1,240 tokens/s", the parts that are known. */
export function statsOf(reply) {
  const seconds = reply.total_ms / 1000;
  return {
    tokens: reply.output_ids.length,
    first_ms: reply.first_ms,
    speed: seconds > 0 ? (reply.output_ids.length - reply.forced) / seconds : 0,
  };
}
