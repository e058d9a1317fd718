// What the model itself thought of each token of a reply. One call scores a whole reply: it goes over prompt and reply
// again and samples nothing. That is as honest as log probabilities sent along while streaming, which would be those
// after temperature, and it costs the stream nothing.

import { sendJson } from "./api.js";
import { facts } from "./server.js";

export const ALTERNATIVES = 10;
const known = new WeakMap();

/** Token by token {id, text, p, top: [{id, text, p}], rank, entropy} of a reply that is not growing. */
export async function scoresOf(reply) {
  return (await scoresOfAll([reply]))[0];
}

/** The same for many replies to prompts of one length, in one request. */
export async function scoresOfAll(replies) {
  const missing = replies.filter((reply) => known.get(reply)?.length !== reply.output_ids.length);
  if (missing.length) {
    const answers = await sendJson("generate", {
      body: {
        input_ids: missing.map((reply) => [...reply.prompt_ids, ...reply.output_ids]),
        sampling_params: { max_new_tokens: 0 },
        return_logprob: true,
        // The first position that is asked for never has a value, so it is the prompt's last.
        logprob_start_len: missing[0].prompt_ids.length - 1,
        top_logprobs_num: Math.min(ALTERNATIVES, facts.vocab_size),
        return_text_in_logprobs: true,
      },
    });
    missing.forEach((reply, i) => known.set(reply, read(answers[i].meta_info)));
  }
  return replies.map((reply) => known.get(reply));
}

function read({ input_token_logprobs, input_top_logprobs }) {
  return input_token_logprobs.slice(1).map(([logprob, id, text], i) => {
    const top = input_top_logprobs[i + 1].map(([logprob, id, text]) => ({ id, text, p: Math.exp(logprob) }));
    const place = top.findIndex((other) => other.id === id);
    return { id, text, p: Math.exp(logprob), top, rank: place === -1 ? null : place + 1, entropy: entropy(top) };
  });
}

/**
 * The least and most bits that the distribution can have, given its likeliest tokens: what is left over is spread
 * evenly over all others at most, and over as few as their order allows at least.
 */
function entropy(top) {
  const rest = Math.max(0, 1 - top.reduce((sum, { p }) => sum + p, 0));
  const bits = (p) => (p > 0 ? -p * Math.log2(p) : 0);
  const listed = top.reduce((sum, { p }) => sum + bits(p), 0);
  const others = facts.vocab_size - top.length;
  if (others <= 0 || rest < 1e-9) return [listed, listed];
  const highest = Math.min(top.at(-1).p, rest);
  const full = Math.floor(rest / highest);
  return [listed + full * bits(highest) + bits(rest - full * highest), listed + others * bits(rest / others)];
}

/** 0 (nearly certain) to 4 (hardly expected): the tint of a token, and the width of the line under it. */
export const levelOf = (p) => [0.9, 0.5, 0.2, 0.05].filter((bound) => p < bound).length;
export const LEVELS = ["90 % and more", "50 to 90 %", "20 to 50 %", "5 to 20 %", "under 5 %"];

/** A probability as people write it. */
export function percent(p) {
  if (p >= 0.9995) return p >= 0.99995 ? "100 %" : `${(100 * p).toFixed(2)} %`;
  if (p < 0.0001) return "< 0.01 %";
  return `${(100 * p).toFixed(p < 0.01 ? 2 : 1)} %`;
}

export function bits([least, most]) {
  const [low, high] = [least.toFixed(2), most.toFixed(2)];
  return low === high ? `${high} bits` : `${low} to ${high} bits`;
}
