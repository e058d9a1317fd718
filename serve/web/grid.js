// Free generation: up to 50 samples of one prompt, or of nothing, side by side.

import { ApiError, sendJson } from "./api.js";
import { announce, byId, button, count, el, icon, perFrame, plural } from "./dom.js";
import { Collected, extend, newReply, startStream, textOf } from "./generation.js";
import { legend } from "./probabilities.js";
import { ReplyView, noticeFor } from "./reply.js";
import { nextParams } from "./sampling.js";
import { scoresOfAll } from "./scores.js";
import { facts, look } from "./server.js";
import { read, write } from "./store.js";

const MOST = 50;
let cards = []; // {reply, text, view, element}
let run = null;
let tinted = read("tinted", false);

export function startGrid() {
  refreshButton();
  byId("generate").addEventListener("click", () => (run ? run.abort() : generate()));
  document.addEventListener("keydown", (event) => event.key === "Escape" && !document.querySelector("dialog[open]") && run?.abort());
  byId("grid").before(el("div", { id: "grid-legend", hidden: true }, legend()));
  const toggle = byId("toggle-probabilities-grid");
  toggle.setAttribute("aria-pressed", tinted);
  toggle.addEventListener("click", () => {
    tinted = !tinted;
    write("tinted", tinted);
    toggle.setAttribute("aria-pressed", tinted);
    tint();
  });
}

function refreshButton() {
  byId("generate").replaceChildren(icon(run ? "stop" : "send"), run ? "Stop" : "Generate");
}

/** A chat model's documents are whole conversations: they go on after a turn's end, and show what frames the turns. */
function documentParams(room) {
  const whole = facts.chat ? { ignore_eos: true, skip_special_tokens: false, stop: ["<bos>"] } : {};
  return { ...nextParams(room), ...whole };
}

/** How many samples are asked for, within what the field allows. */
function wanted() {
  const input = byId("samples");
  const n = Math.min(MOST, Math.max(1, Math.round(input.valueAsNumber) || 1));
  input.value = n;
  return n;
}

async function generate() {
  const n = wanted();
  run = new AbortController();
  const { signal } = run;
  byId("grid-notice").replaceChildren();
  byId("grid-stats").textContent = "";
  refreshButton();
  const sent = performance.now();
  let error = null;
  try {
    const { tokens, max_model_len } = await sendJson("tokenize", { body: { prompt: byId("prompt").value }, signal });
    const params = documentParams(max_model_len - tokens.length);
    cards = Array.from({ length: n }, (_, i) => card(newReply(tokens, { ...params, sampling_seed: params.sampling_seed + i }, 0)));
    byId("grid").replaceChildren(...cards.map(({ element }) => element));
    byId("grid-legend").hidden = !tinted;
    await fill(tokens, params, n, signal, sent);
  } catch (problem) {
    if (problem.name !== "AbortError" && !(problem instanceof ApiError)) throw problem;
    if (problem instanceof ApiError) error = problem;
    for (const { reply } of cards) reply.finish ??= error ? (error.isLost ? "lost" : "failed") : "stopped";
  }
  run = null;
  refreshButton();
  for (const { reply, view, text, element } of cards) {
    view.update(text, reply);
    element.dataset.state = reply.finish;
  }
  byId("grid-notice").replaceChildren(...(error ? [noticeFor(error, 0, [button("redo", "Try again", generate)])] : []));
  if (error?.isLost || (error?.mayPass && error.retryAfter === null)) look();
  announce(error ? `No samples: ${error.message}` : `${plural(n, "sample")} finished`);
  tint();
}

async function fill(tokens, params, n, signal, sent) {
  const all = cards.map(() => new Collected());
  const changed = new Set();
  const draw = perFrame(() => {
    for (const i of changed) cards[i].view.update(cards[i].text, cards[i].reply);
    changed.clear();
    const total = cards.reduce((sum, { reply }) => sum + reply.output_ids.length, 0);
    byId("grid-stats").textContent = `${plural(total, "token")} · ${count((1000 * total) / (performance.now() - sent))} tokens/s over all samples`;
  });
  const onWait = (left, error) =>
    byId("grid-notice").replaceChildren(...(left ? [noticeFor(error, left, [button("close", "Cancel", () => run?.abort())])] : []));
  const body = { input_ids: tokens, sampling_params: { ...params, n } };
  for await (const chunk of await startStream(body, { signal, onWait })) {
    const i = chunk.index ?? 0;
    all[i].add(chunk);
    const { reply } = cards[i];
    reply.output_ids = all[i].ids;
    reply.total_ms = performance.now() - sent;
    reply.first_ms ||= reply.total_ms;
    cards[i].text = all[i].text;
    if (all[i].finish) {
      reply.finish = all[i].finish.type === "abort" ? "failed" : all[i].finish.type;
      cards[i].element.dataset.state = reply.finish;
    }
    changed.add(i);
    draw();
  }
}

/** A place in the grid for `reply`. */
function card(reply) {
  const made = { reply, text: "" };
  made.view = new ReplyView({ onChoose: (position, id) => branch(made, position, id) });
  made.view.copy.classList.add("icon-first");
  made.element = el("li", { class: "sample", "data-state": "streaming", tabindex: -1 }, ...made.view.parts);
  made.view.update("", reply);
  return made;
}

/** Another card beside `from`, which begins with its tokens before `position`, then `id`. */
async function branch(from, position, id) {
  const forced = [...from.reply.output_ids.slice(0, position), id];
  const { prompt_ids } = from.reply;
  const params = documentParams(facts.context - prompt_ids.length - forced.length);
  params.max_new_tokens += forced.length;
  const made = card(newReply(prompt_ids, params, 0, forced));
  cards.splice(cards.indexOf(from) + 1, 0, made);
  from.element.after(made.element);
  made.element.focus();
  made.text = await textOf(forced).catch(() => "");
  const draw = perFrame(() => made.view.update(made.text, made.reply));
  const onText = (text) => {
    made.text = text;
    draw();
  };
  const stop = new AbortController();
  const { text, error } = await extend(made.reply, made.text, { signal: stop.signal, onText, onWait: () => {} });
  onText(text);
  made.element.dataset.state = made.reply.finish;
  if (error) made.view.showNotice(noticeFor(error, 0, []));
  announce(error ? `No sample: ${error.message}` : `Sample finished: ${text}`);
  requestAnimationFrame(tint);
}

/** All samples are scored in one request. */
async function tint() {
  byId("grid-legend").hidden = !tinted || !cards.length;
  const done = cards.filter(({ reply }) => reply.finish && reply.output_ids.length);
  if (!tinted) {
    for (const { view } of cards) view.showPlain();
  } else if (done.length) {
    try {
      await scoresOfAll(done.map(({ reply }) => reply));
      for (const { view } of done) await view.showProbabilities();
    } catch (error) {
      byId("grid-notice").replaceChildren(el("div", { class: "notice" }, `No probabilities: ${error.message}`));
    }
  }
}
