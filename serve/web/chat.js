// The chat: what is said, who says it next, and what of it the model will see.

import { patiently, sendJson } from "./api.js";
import { addNode, messages, newConversation, path, pathTo, said, show, siblings, ROOT } from "./conversation.js";
import { announce, byId, button, el, icon, perFrame, count, plural } from "./dom.js";
import { extend, newReply, textOf } from "./generation.js";
import { showPieces } from "./lens.js";
import { redraw, showMeter } from "./meter.js";
import { legend } from "./probabilities.js";
import { canContinue, noticeFor } from "./reply.js";
import { budget, isLocked, nextParams } from "./sampling.js";
import { facts, look, onReady } from "./server.js";
import { read, save, write } from "./store.js";
import { AssistantTurn, UserTurn } from "./turns.js";

const TYPING_MS = 120;
const STARTERS = ["Hello, who are you?", "What is 3 + 4?", "Tell me a short poem", "What does a cow say?"];

let conversation = newConversation();
let views = new Map(); // turn index -> UserTurn | AssistantTurn
let run = null; // {conversation, index, stop: AbortController}: one reply at a time
let onChanged = () => {};
const seen = { probabilities: false, tokens: false, ...read("view", {}) };
const draft = byId("draft");

export function startChat(changed) {
  onChanged = changed;
  byId("starters").append(...STARTERS.map((text) => el("button", { type: "button", onclick: () => send(text) }, text)));
  byId("send").addEventListener("click", () => (run ? stop() : send(draft.value)));
  draft.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!run) send(draft.value);
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && !document.querySelector("dialog[open]") && stop());
  draft.addEventListener("input", () => {
    fitDraft();
    refreshSend();
    planSoon();
  });
  toggle("probabilities", showProbabilities);
  toggle("tokens", refreshLens);
  addEventListener("pagehide", () => run && save(run.conversation));
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--composer", `${byId("composer").offsetHeight}px`);
  }).observe(byId("composer"));
  byId("transcript").before(el("div", { id: "legend", hidden: true }, legend()));
  onReady(() => {
    refreshLens();
    render();
  });
}

export const current = () => conversation;

/** Shows another conversation. A reply that is being made in the one before goes on. */
export function openConversation(next) {
  conversation = next;
  views = new Map();
  render();
  scrollTo({ top: document.documentElement.scrollHeight });
}

/** Ends the reply being made in `which`, before it is deleted. */
export function leave(which) {
  if (run?.conversation === which) stop();
}

function stop() {
  run?.stop.abort();
}

function send(text) {
  if (!text.trim() || run || document.documentElement.dataset.state === "loading") return;
  const shown = path(conversation);
  const index = addNode(conversation, shown.at(-1) ?? ROOT, "user", text);
  draft.value = "";
  fitDraft();
  answer(index);
}

/** A new reply to turn `parent`, beside those that it has. */
function answer(parent) {
  const index = addNode(conversation, parent, "assistant", "");
  fill(index);
}

/** Makes the reply of turn `index` from nothing: tokens of the conversation first, then the model's. */
function fill(index) {
  return perform(index, async (node, options) => {
    const before = messages(run.conversation, pathTo(run.conversation, node.parent));
    const plan = await patiently(() => sendJson("tokenize", { body: { messages: before }, signal: options.signal }), options);
    facts.end_turn = plan.tokens.at(-2);
    const params = nextParams(plan.max_model_len - plan.count);
    node.reply = newReply(plan.tokens, params, plan.tokens_dropped);
    const twin = isLocked() && twinOf(run.conversation, index);
    if (twin) return { twin };
    return extend(node.reply, "", options);
  });
}

/** A finished sibling of turn `index` that was asked for in just the same way, or undefined. */
function twinOf({ nodes }, index) {
  const { reply } = nodes[index];
  const asked = (other) => JSON.stringify([other.prompt_ids, other.params, other.forced]);
  return nodes.findIndex((node, i) =>
    i !== index && node.parent === nodes[index].parent && ["stop", "length"].includes(node.reply?.finish) && asked(node.reply) === asked(reply)) + 1;
}

function goOn(index) {
  const { reply, text } = conversation.nodes[index];
  const room = facts.context - reply.prompt_ids.length;
  reply.params.max_new_tokens = Math.min(room, reply.output_ids.length + (budget() ?? room));
  return perform(index, (node, options) => extend(reply, text, options));
}

/** Another reply that begins with the tokens of turn `index` before `position`, then `id`. */
function branch(index, position, id) {
  if (run) return;
  const { parent, reply } = conversation.nodes[index];
  const forced = [...reply.output_ids.slice(0, position), id];
  const params = nextParams(facts.context - reply.prompt_ids.length - forced.length);
  params.max_new_tokens += forced.length;
  const at = addNode(conversation, parent, "assistant", "");
  const ends = id === facts.end_turn;
  perform(at, async (node, options) => {
    node.reply = newReply(reply.prompt_ids, params, reply.dropped, forced);
    const text = await textOf(forced);
    if (ends || params.max_new_tokens === forced.length) {
      node.reply.finish = ends ? "stop" : "length";
      return { text };
    }
    return extend(node.reply, text, options);
  });
}

/** Runs `work(node, options)` -> {text, error?} on turn `index` and shows it as it goes. */
async function perform(index, work) {
  const home = conversation;
  const node = home.nodes[index];
  const controller = new AbortController();
  run = { conversation: home, index, stop: controller };
  render();
  const viewNow = () => (home === conversation ? views.get(index)?.view : undefined);
  const draw = perFrame(() => {
    if (run?.stop !== controller) return;
    const atEnd = isAtEnd();
    viewNow()?.update(node.text, node.reply);
    if (home === conversation && node.reply) meterOf(node.reply);
    if (atEnd) scrollTo({ top: document.documentElement.scrollHeight });
  });
  viewNow()?.showNotice();
  views.get(index).element.focus({ preventScroll: true });
  scrollTo({ top: document.documentElement.scrollHeight });
  let done;
  try {
    done = await work(node, {
      signal: controller.signal,
      onText: (text) => {
        node.text = text;
        draw();
      },
      onWait: (left, error) => viewNow()?.showNotice(...(left ? [noticeFor(error, left, [button("close", "Cancel", stop)])] : [])),
    });
  } catch (error) {
    done = { text: node.text, error: error.name === "AbortError" ? null : error };
    if (node.reply) node.reply.finish = "failed";
  }
  run = null;
  if (done.twin) return isTwin(home, index, done.twin - 1);
  node.text = done.text;
  home.updated = Date.now();
  save(home);
  onChanged();
  if (home === conversation) {
    const atEnd = isAtEnd();
    render();
    const again = () => (canContinue(node.reply) ? goOn(index) : fill(index));
    if (done.error) viewNow()?.showNotice(noticeFor(done.error, 0, [button("redo", canContinue(node.reply) ? "Continue" : "Try again", again)]));
    if (atEnd) scrollTo({ top: document.documentElement.scrollHeight });
  }
  if (done.error?.isLost || (done.error?.mayPass && done.error.retryAfter === null)) look();
  announce(done.error ? `No reply: ${done.error.message}` : `Reply ${node.reply?.finish === "stopped" ? "stopped" : "finished"}: ${node.text}`);
}

/** The reply just begun would be one that exists: goes back to that, and says why. */
function isTwin(home, index, twin) {
  home.nodes.splice(index, 1); // the last one, so no index changes
  show(home, twin);
  views.delete(index);
  render();
  const text = "The seed is locked, so the same reply would come again. Unlock it under Sampling for another one.";
  views.get(twin)?.view.showNotice(el("div", { class: "notice", role: "alert" }, text));
  views.get(twin)?.element.focus({ preventScroll: true });
}

const isAtEnd = () => scrollY + innerHeight >= document.documentElement.scrollHeight - 80;

function render() {
  const shown = path(conversation);
  const focused = document.activeElement;
  for (const index of shown) if (!views.has(index)) views.set(index, viewOf(index));
  byId("transcript").replaceChildren(...shown.map((index) => views.get(index).element));
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  byId("start").hidden = shown.length > 0;
  byId("start-facts").textContent = facts.parameters
    ? `${count(facts.parameters)} parameters, ${count(facts.vocab_size)} tokens in its vocabulary, and a memory of ${count(facts.context)} of them.`
    : "";
  for (const index of shown) refresh(index);
  refreshSend();
  showProbabilities();
  plan();
}

function viewOf(index) {
  const { role, text, parent } = conversation.nodes[index];
  const onMove = (step) => {
    const all = siblings(conversation, index);
    const to = all[all.indexOf(index) + step];
    if (to === undefined) return;
    show(conversation, to);
    save(conversation);
    render();
    const { previous, next } = views.get(to).switch;
    (step < 0 ? previous : next).focus({ preventScroll: true });
  };
  if (role === "user") {
    return new UserTurn(text, { onMove, onEdit: (text) => answer(addNode(conversation, parent, "user", text)) });
  }
  return new AssistantTurn({
    onMove,
    onRegenerate: () => answer(parent),
    onContinue: () => goOn(index),
    onChoose: (position, id) => branch(index, position, id),
  });
}

/** Brings the element of turn `index` in line with the turn. */
function refresh(index) {
  const node = conversation.nodes[index];
  const turn = views.get(index);
  const all = siblings(conversation, index);
  turn.switch.update(all.indexOf(index), all.length);
  if (node.role === "assistant") {
    const isRunning = run?.conversation === conversation && run.index === index;
    turn.element.dataset.state = isRunning ? "streaming" : stateOf(node.reply);
    if (isRunning || !turn.view.tokens || turn.view.reply !== node.reply) turn.view.update(node.text, node.reply);
    if (!isRunning) turn.view.actions.hidden = false;
    turn.continue.hidden = !canContinue(node.reply);
    turn.continue.disabled = run !== null;
  }
  for (const element of turn.element.querySelectorAll(".starts")) element.disabled = run !== null;
}

function stateOf(reply) {
  return { stop: "done", length: "done", stopped: "stopped", lost: "lost" }[reply?.finish] ?? "failed";
}

function refreshSend() {
  const element = byId("send");
  const name = run ? "Stop" : "Send";
  if (element.getAttribute("aria-label") !== name) {
    element.setAttribute("aria-label", name);
    element.title = run ? "Stop (Escape)" : "Send (Enter)";
    element.replaceChildren(icon(name.toLowerCase()));
    element.disabled = false;
  }
  element.setAttribute("aria-disabled", !run && !draft.value.trim());
}

function fitDraft() {
  draft.style.height = "auto";
  draft.style.height = `${draft.scrollHeight + 2}px`;
}

function toggle(name, apply) {
  const element = byId(`toggle-${name}`);
  const set = () => {
    element.setAttribute("aria-pressed", seen[name]);
    apply();
  };
  element.addEventListener("click", () => {
    seen[name] = !seen[name];
    write("view", seen);
    set();
  });
  element.setAttribute("aria-pressed", seen[name]);
}

/** Tints all replies shown, newest first, or takes the tints away. */
async function showProbabilities() {
  byId("legend").hidden = !seen.probabilities || !path(conversation).length;
  const turns = path(conversation).reverse().map((index) => views.get(index)).filter((turn) => turn instanceof AssistantTurn);
  for (const turn of turns) {
    if (!seen.probabilities) turn.view.showPlain();
    else if (!turn.view.tokens) {
      try {
        await turn.view.showProbabilities();
      } catch (error) {
        turn.view.showNotice(el("div", { class: "notice" }, `No probabilities: ${error.message}`));
        return;
      }
    }
  }
}

function refreshLens() {
  byId("lens").hidden = !seen.tokens;
  plan();
}

let typing = 0;
let planning = null;

function planSoon() {
  clearTimeout(typing);
  typing = setTimeout(plan, TYPING_MS);
}

/** Asks how the next prompt would come out, draft included; shows it in the meter, the lens and on the turns. */
async function plan() {
  clearTimeout(typing);
  planning?.abort();
  if (document.documentElement.dataset.state !== "ready") return redraw();
  const controller = (planning = new AbortController());
  const { signal } = controller;
  const text = draft.value;
  const shown = path(conversation).filter((index) => said(conversation.nodes[index]));
  try {
    if (seen.tokens) {
      showPieces(text, await sendJson("tokenize", { body: { prompt: text, add_special_tokens: false, return_pieces: true }, signal }));
    }
    const next = messages(conversation, shown);
    if (text.trim()) next.push({ role: "user", content: text });
    const found = next.length && facts.chat ? await sendJson("tokenize", { body: { messages: next }, signal }) : { count: 0, spans: [], tokens_dropped: 0 };
    mark(shown, found);
    if (run?.conversation === conversation) return;
    const last = conversation.nodes[shown.at(-1)];
    const span = found.spans.at(-1);
    if (text.trim() && span) showMeter({ dropped: found.tokens_dropped, prompt: found.count, draft: span[1] - span[0] + 1, reply: 0 });
    else if (last?.reply) meterOf(last.reply);
    else showMeter({ dropped: found.tokens_dropped, prompt: found.count, reply: 0 });
    await markShortened(next, found, signal);
  } catch (error) {
    if (error.isLost) look();
  }
}

const meterOf = (reply) => showMeter({ dropped: reply.dropped, prompt: reply.prompt_ids.length, reply: reply.output_ids.length });

/** Marks the turns that the next prompt will leave out. */
function mark(shown, { spans }) {
  for (const [at, index] of shown.entries()) {
    const turn = views.get(index);
    const unfit = spans[at] === null;
    turn.element.classList.toggle("unfit", unfit);
    turn.fit.textContent = unfit ? "Will not fit: the model will no longer see this." : "";
  }
}

/** Says under the draft if even it is too long by itself. */
async function markShortened(next, { spans, tokens_dropped }, signal) {
  const line = byId("draft-fit");
  const span = spans.at(-1);
  const alone = tokens_dropped > 0 && span?.[0] === 1 && next.at(-1).role === "user";
  let text = "";
  if (alone) {
    const { count: whole } = await sendJson("tokenize", { body: { prompt: next.at(-1).content, add_special_tokens: false }, signal });
    const kept = span[1] - span[0] - 2; // beside its role token and its end
    if (kept < whole) text = `Only the last ${count(kept)} of ${plural(whole, "token")} of this message fit.`;
  }
  if (line.textContent !== text) line.textContent = text;
}
