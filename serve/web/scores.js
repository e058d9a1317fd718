// What the model itself thought of each token of a reply. One call goes over prompt and reply again, the last token but
// looked up among those that could come next: so a reply that fills the context is scored, too. While streaming, log
// probabilities would be those after temperature, and slow it.

import { patiently, sendJson } from "./api.js";
import { facts } from "./server.js";

const ALTERNATIVES = 10;
const known = new WeakMap();

/**
 * For each reply, token by token {id, text, p, top: [{id, text, p}], rank, entropy}, in one request. The replies are
 * to prompts of one length. rank is null beyond `top`; entropy is the least and the most that it can be, in bits.
 */
export async function scoresOf(replies) {
  const missing = replies.filter((reply) => known.get(reply)?.length !== reply.output_ids.length);
  if (missing.length) {
    const body = {
      input_ids: missing.map(({ prompt_ids, output_ids }) => [...prompt_ids, ...output_ids.slice(0, -1)]),
      sampling_params: { max_new_tokens: 1, temperature: 1 },
      token_ids_logprob: missing.map(({ output_ids }) => output_ids.slice(-1)),
      return_logprob: true,
      logprob_start_len: missing[0].prompt_ids.length - 1, // the first position asked for never has a value
      top_logprobs_num: Math.min(ALTERNATIVES, facts.vocab_size),
      return_text_in_logprobs: true,
    };
    const answers = await patiently(() => sendJson("generate", body), { signal: new AbortController().signal, onWait: () => {} });
    missing.forEach((reply, i) => known.set(reply, read(answers[i].meta_info)));
  }
  return replies.map((reply) => known.get(reply));
}

function read(meta) {
  const named = ([logprob, id, text]) => ({ id, text, p: Math.exp(logprob) });
  const tops = [...meta.input_top_logprobs.slice(1), meta.output_top_logprobs[0]];
  return [...meta.input_token_logprobs.slice(1), meta.output_token_ids_logprobs[0][0]].map((entry, i) => {
    const top = tops[i].map(named);
    const token = named(entry);
    return { ...token, top, rank: top.findIndex(({ id }) => id === token.id) + 1 || null, entropy: entropy(top) };
  });
}

/** The least is as if all other tokens were one, the most as if they were equally likely. */
function entropy(top) {
  const bits = (p) => (p > 0 ? -p * Math.log2(p) : 0);
  const listed = top.reduce((sum, { p }) => sum + bits(p), 0);
  const rest = restOf(top);
  const least = listed + bits(rest);
  return [least, least + rest * Math.log2(Math.max(1, facts.vocab_size - top.length))];
}

/** The probability of all tokens but those in `top`. */
export const restOf = (top) => Math.max(0, 1 - top.reduce((sum, { p }) => sum + p, 0));

/** 0 (nearly certain) to 4 (hardly expected): the tint of a token, and the line under it. */
export const levelOf = (p) => [0.9, 0.5, 0.2, 0.05].filter((bound) => p < bound).length;
export const LEVELS = ["over 90 %", "50–90 %", "20–50 %", "5–20 %", "under 5 %"];

/** A probability as people write it. */
export function percent(p) {
  if (p < 0.0001) return "< 0.01 %";
  return p > 0.9999 ? "> 99.99 %" : `${(100 * p).toFixed(p < 0.01 || p > 0.999 ? 2 : 1)} %`;
}

export function describeEntropy(range) {
  const [least, most] = range.map((bits) => bits.toFixed(2));
  return `entropy ${least === most ? most : `${least} to ${most}`} bits`;
}
