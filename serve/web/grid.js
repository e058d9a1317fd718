// Free generation: up to 50 samples of one prompt, or of nothing, side by side.

import { sendJson } from "./api.js";
import { announce, button, byId, count, el, icon, onClick, onEscape, perFrame, plural, toggle } from "./dom.js";
import { Growing, extend, newReply, outcomeOf, startStream, textOf } from "./generation.js";
import { marked } from "./pieces.js";
import { legend } from "./probabilities.js";
import { ReplyView, showNotice, stateOf } from "./reply.js";
import { nextParams } from "./sampling.js";
import { scoresOf } from "./scores.js";
import { facts, look } from "./server.js";

const MOST = 50;
const SCORED_AT_ONCE = 8;
const notice = byId("grid-notice");
let cards = [];
let run = null; // AbortController of what is streaming
let isTinted;

export function startGrid() {
  byId("grid").before(legend("grid-legend"));
  isTinted = toggle("toggle-tinted", tint);
  tint();
  setRun(null);
  onClick("wrap", () => {
    const prompt = byId("prompt");
    prompt.value = `<user>${prompt.value}<end_turn><assistant>`;
    prompt.focus();
  });
  onClick("generate", () => (run ? run.abort() : generate()));
  onEscape(() => run?.abort());
}

function setRun(controller) {
  run = controller;
  byId("generate").replaceChildren(icon(run ? "stop" : "send"), run ? "Stop" : "Generate");
}

/** A chat model's documents are whole conversations: they go on after a turn, and show special tokens. */
function documentParams(room, given) {
  const whole = facts.chat ? { ignore_eos: true, skip_special_tokens: false, stop: ["<bos>"] } : {};
  return { ...nextParams(room, given), ...whole };
}

class Card {
  text = "";

  constructor(prompt, reply) {
    Object.assign(this, { prompt, reply });
    this.view = new ReplyView((position, id) => branch(this, position, id), [], facts.chat);
    const [text, ...rest] = this.view.parts;
    this.element = el("li", { class: "sample", tabindex: -1 }, el("div", { class: "document" }, el("span", { class: "given" }, ...marked(prompt)), text), ...rest);
    this.draw = perFrame(() => this.update());
    this.update();
  }

  update() {
    const { finish } = this.reply;
    this.element.dataset.state = finish ? stateOf(this.reply) : "streaming";
    this.view.update(this.text, this.reply, !finish);
  }
}

async function generate() {
  const field = byId("samples");
  const n = Math.min(MOST, Math.max(1, Math.round(field.valueAsNumber) || 1));
  field.value = n;
  setRun(new AbortController());
  const { signal } = run;
  const onWait = (left, error) => showNotice(notice, error, left, button("close", "Cancel", () => run?.abort()));
  notice.replaceChildren();
  cards = [];
  let error = null;
  try {
    const prompt = byId("prompt").value.toWellFormed();
    const { tokens, max_model_len } = await sendJson("tokenize", { prompt }, signal);
    const params = documentParams(max_model_len - tokens.length);
    cards = Array.from({ length: n }, (_, i) => new Card(prompt, newReply(tokens, { ...params, sampling_seed: params.sampling_seed + i }, 0)));
    byId("grid").replaceChildren(...cards.map(({ element }) => element));
    await fill({ input_ids: tokens, sampling_params: { ...params, n } }, { signal, onWait });
  } catch (problem) {
    const outcome = outcomeOf(problem);
    error = outcome.error;
    for (const { reply } of cards) reply.finish ??= outcome.finish;
  }
  setRun(null);
  for (const card of cards) card.update();
  if (error) showNotice(notice, error, undefined, button("redo", "Try again", generate));
  if (error?.mayPass) look();
  announce(error ? `No samples: ${error.message}` : `${plural(n, "sample")} finished`);
  tint();
}

async function fill(body, options) {
  const all = cards.slice(); // branches may come between them
  const growing = all.map(({ reply }) => new Growing(reply, ""));
  const sent = performance.now();
  const sum = perFrame(() => {
    const total = all.reduce((tokens, { reply }) => tokens + reply.output_ids.length, 0);
    byId("grid-stats").textContent = `${plural(total, "token")} · ${count((1000 * total) / (performance.now() - sent))} tokens/s in all`;
  });
  for await (const chunk of await startStream(body, options)) {
    const i = chunk.index ?? 0; // a single sample has none
    growing[i].add(chunk);
    all[i].text = growing[i].text;
    all[i].draw();
    sum();
  }
}

/** Another card beside `from`, which begins with its tokens before `position`, then `id`. */
async function branch(from, position, id) {
  const { prompt_ids, output_ids } = from.reply;
  const forced = [...output_ids.slice(0, position), id];
  const params = documentParams(facts.context - prompt_ids.length, { given: forced.length });
  const card = new Card(from.prompt, newReply(prompt_ids, params, 0, forced));
  cards.splice(cards.indexOf(from) + 1, 0, card);
  from.element.after(card.element);
  card.element.focus();
  const onText = (text) => ((card.text = text), card.draw());
  const onWait = (left, error) => showNotice(card.view.notice, error, left);
  const { text, error } = await extend(card.reply, await textOf(card.reply).catch(() => ""), { signal: new AbortController().signal, onText, onWait });
  onText(text);
  if (error) showNotice(card.view.notice, error);
  announce(error ? `No sample: ${error.message}` : `Sample finished: ${text}`);
  card.update();
  tint();
}

/** Tints the samples, some at a time: ten alternatives to each of many tokens are megabytes. */
async function tint() {
  byId("grid-legend").hidden = !isTinted() || !cards.length;
  const done = cards.filter(({ reply }) => reply.finish && reply.output_ids.length);
  if (!isTinted()) return done.forEach(({ view }) => view.showPlain());
  try {
    for (let i = 0; i < done.length; i += SCORED_AT_ONCE) {
      const some = done.slice(i, i + SCORED_AT_ONCE);
      await scoresOf(some.map(({ reply }) => reply));
      for (const { view } of some) await view.showProbabilities();
    }
  } catch (error) {
    showNotice(notice, error);
  }
}
