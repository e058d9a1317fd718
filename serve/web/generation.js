// Making replies: from token ids and sampling_params to tokens and text, without any view.

import { ApiError, generate, patiently, sendJson } from "./api.js";
import { facts, fingerprint } from "./server.js";

/** A reply in which nothing is said yet but the tokens `forced`. */
export function newReply(prompt_ids, params, dropped, forced = []) {
  return {
    prompt_ids, params, dropped, forced: forced.length, output_ids: forced,
    finish: null, first_ms: 0, total_ms: 0, model: fingerprint(),
  };
}

/** The body of /generate that makes what came after the forced tokens: of a reply cut short, exactly as much. */
export function requestOf({ prompt_ids, output_ids, params, forced, finish }) {
  const wanted = finish === "stop" || finish === "length" ? params.max_new_tokens : output_ids.length;
  return {
    input_ids: [...prompt_ids, ...output_ids.slice(0, forced)],
    sampling_params: { ...params, max_new_tokens: wanted - forced },
  };
}

/** A reply that grows by chunks of /generate, be they whole (SGLang's usual way) or each with only what is new. */
export class Growing {
  #before;
  #textBefore;
  #spent;
  #sent = performance.now();
  #ids = [];
  #text = "";

  constructor(reply, text) {
    this.reply = reply;
    this.#before = reply.output_ids;
    this.#textBefore = text;
    this.#spent = reply.total_ms;
    reply.finish = null;
  }

  get text() {
    return this.#textBefore + this.#text;
  }

  add({ text, output_ids, meta_info: { completion_tokens, finish_reason, weight_version } }) {
    const { reply } = this;
    const isWhole = output_ids.length === completion_tokens;
    this.#ids = isWhole ? output_ids : [...this.#ids, ...output_ids];
    this.#text = isWhole ? text : this.#text + text;
    reply.output_ids = [...this.#before, ...this.#ids];
    reply.total_ms = this.#spent + performance.now() - this.#sent;
    reply.first_ms ||= reply.total_ms;
    if (!finish_reason) return;
    reply.finish = finish_reason.type === "abort" ? "failed" : finish_reason.type;
    facts.weight_version = weight_version;
    reply.model = fingerprint();
  }
}

/** Starts a stream, waiting where the server asks for it. Returns its chunks. */
export async function startStream(body, options) {
  const { chunks, first } = await patiently(async () => {
    const chunks = generate(body, options.signal);
    return { chunks, first: await chunks.next() };
  }, options);
  return (async function* () {
    if (!first.done) yield first.value;
    yield* chunks;
  })();
}

/**
 * Lets the model go on with `reply`, whose text so far is `text`, until it ends, reaches max_new_tokens, or `signal`
 * stops it; onText(text). Mutates reply: what went wrong is in its `finish`. Returns the text and the error, if any.
 */
export async function extend(reply, text, { signal, onText, onWait }) {
  const { prompt_ids, output_ids, params } = reply;
  const growing = new Growing(reply, text);
  let error = null;
  try {
    const body = {
      input_ids: [...prompt_ids, ...output_ids],
      sampling_params: { ...params, max_new_tokens: params.max_new_tokens - output_ids.length },
    };
    for await (const chunk of await startStream(body, { signal, onWait })) {
      growing.add(chunk);
      onText(growing.text);
    }
    if (reply.finish === "failed") error = new ApiError(500, "The server gave up.");
  } catch (problem) {
    ({ error, finish: reply.finish } = outcomeOf(problem));
  }
  // Where two texts met within a character, the tokens together have it whole.
  const isBroken = output_ids.length > 0 && growing.text.includes("\ufffd");
  return { error, text: isBroken && !error ? await textOf(reply).catch(() => growing.text) : growing.text };
}

/** What an exception means for a reply: Stop is no error. */
export function outcomeOf(problem) {
  if (problem.name === "AbortError") return { error: null, finish: "stopped" };
  if (!(problem instanceof ApiError)) throw problem;
  return { error: problem, finish: problem.isLost ? "lost" : "failed" };
}

export async function textOf({ output_ids, params: { skip_special_tokens } }) {
  return (await sendJson("detokenize", { tokens: output_ids, skip_special_tokens })).text;
}

/** Asks for `reply` again: {count, given, at: the first token that differs or null, isSame: text too, isSameModel}. */
export async function replay(reply, text) {
  const answer = await sendJson("generate", requestOf(reply));
  const made = reply.output_ids.slice(reply.forced);
  const count = Math.max(made.length, answer.output_ids.length);
  const at = Array.from({ length: count }, (_, i) => i).find((i) => made[i] !== answer.output_ids[i]) ?? null;
  facts.weight_version = answer.meta_info.weight_version;
  // What was cut short may lack a character of which not all tokens had come.
  const isWhole = (reply.finish === "stop" || reply.finish === "length") && !reply.forced;
  const isSameText = isWhole ? text === answer.text : text.endsWith(answer.text) || answer.text.startsWith(text);
  return { count, given: reply.forced, at: at === null ? null : at + reply.forced, isSame: at === null && isSameText, isSameModel: reply.model === fingerprint() };
}
