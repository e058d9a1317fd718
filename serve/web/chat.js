// The chat: what is said, who says it next, and what of it the model will see.

import { patiently, sendJson } from "./api.js";
import { ROOT, addNode, depth, messages, newConversation, path, pathTo, said, show, siblings } from "./conversation.js";
import { announce, button, byId, count, el, icon, onClick, onEscape, perFrame, plural, toggle } from "./dom.js";
import { extend, newReply, outcomeOf, textOf } from "./generation.js";
import { showMeter } from "./meter.js";
import { showLens } from "./pieces.js";
import { legend } from "./probabilities.js";
import { canContinue, showNotice, stateOf } from "./reply.js";
import { limit, nextParams } from "./sampling.js";
import { describeModel, facts, isReady, look, onReady } from "./server.js";
import { read, save, write } from "./store.js";
import { AssistantTurn, UserTurn } from "./turns.js";

const TYPING_MS = 120;
const NEAR_END = 80; // pixels: whoever is this near the end wants to follow it
const STARTERS = ["Hello, who are you?", "What is 3 + 4?", "Tell me a short poem", "What does a cow say?"];

const draft = byId("draft");
const canHover = matchMedia("(hover: hover)"); // else focusing the draft opens the keyboard of a phone
let conversation = newConversation();
let views = new Map(); // index of a turn -> UserTurn | AssistantTurn
let run = null; // {conversation, index, stop}: one reply at a time
let isFollowing = true; // is at the end of the page, and stays there
let changed, isTinted, hasLens;

/** onChanged(): the open conversation was changed. */
export function startChat(onChanged) {
  changed = onChanged;
  byId("starters").append(...STARTERS.map((text) => el("button", { onclick: () => send(text) }, text)));
  byId("transcript").before(legend("legend"));
  isTinted = toggle("toggle-probabilities", tint);
  hasLens = toggle("toggle-tokens", plan);
  onClick("send", () => (run ? stop() : send(draft.value)));
  draft.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send(draft.value);
  });
  draft.addEventListener("input", () => {
    keepDraft();
    onDraft();
    planSoon();
  });
  onEscape(stop);
  addEventListener("pagehide", () => run && save(run.conversation));
  addEventListener("scroll", () => (isFollowing = scrollY + innerHeight >= document.documentElement.scrollHeight - NEAR_END), { passive: true });
  new ResizeObserver(([{ target }]) => {
    document.documentElement.style.setProperty("--composer", `${target.offsetHeight}px`);
    if (target.offsetHeight) follow();
  }).observe(byId("composer"));
  onReady(render);
  if (canHover.matches) draft.focus();
}

export const current = () => conversation;

/** Shows another conversation. A reply that is being made in the one before goes on. */
export function openConversation(next) {
  conversation = next;
  draft.value = read(draftKey(), "");
  views = new Map();
  render();
  toEnd();
}

export const leave = (which) => run?.conversation === which && stop();

// Conversations are kept from the first message on; before, all share a draft.
const draftKey = () => `draft.${conversation.nodes.length ? conversation.id : "new"}`;
const keepDraft = () => write(draftKey(), draft.value);

const stop = () => run?.stop.abort();

function send(text) {
  if (!text.trim() || run) return;
  draft.value = "";
  keepDraft();
  onDraft();
  answer(addNode(conversation, path(conversation).at(-1) ?? ROOT, "user", text.toWellFormed()));
  if (canHover.matches) draft.focus();
}

/** A new reply to turn `parent`, beside those that it has. */
const answer = (parent) => fill(addNode(conversation, parent, "assistant", ""));

/** Makes the reply of turn `index` from nothing: the tokens of the conversation first, then the model's. */
const fill = (index) =>
  perform(index, async (node, options) => {
    const body = { messages: messages(conversation, pathTo(conversation, node.parent)) };
    const version = siblings(conversation, index).length - 1;
    const found = await patiently(() => sendJson("tokenize", body, options.signal), options);
    const { tokens, tokens_dropped, max_model_len } = found;
    facts.end_turn = tokens.at(-2);
    node.reply = newReply(tokens, nextParams(max_model_len - tokens.length, { version }), tokens_dropped);
    node.reply.cut = await cutOf(body.messages.at(-1).content, found, options.signal);
    return extend(node.reply, "", options);
  });

function goOn(index) {
  const { reply, text } = conversation.nodes[index];
  reply.params.max_new_tokens = limit(facts.context - reply.prompt_ids.length, reply.output_ids.length);
  return perform(index, (_, options) => extend(reply, text, options));
}

/** Another reply that begins with the tokens of turn `index` before `position`, then `id`. */
function branch(index, position, id) {
  if (run) return;
  const { parent, reply } = conversation.nodes[index];
  const { prompt_ids, dropped, cut } = reply;
  const forced = [...reply.output_ids.slice(0, position), id];
  const params = nextParams(facts.context - prompt_ids.length, { given: forced.length });
  perform(addNode(conversation, parent, "assistant", ""), async (node, options) => {
    node.reply = { ...newReply(prompt_ids, params, dropped, forced), cut };
    const text = await textOf(node.reply);
    if (id === facts.end_turn) node.reply.finish = "stop";
    else if (forced.length >= params.max_new_tokens) node.reply.finish = "length";
    else return extend(node.reply, text, options);
    return { text };
  });
}

/** Runs `work(node, options)` -> {text, error?} on turn `index` and shows it as it goes. */
async function perform(index, work) {
  const home = conversation;
  const node = home.nodes[index];
  const controller = new AbortController();
  run = { conversation: home, index, stop: controller };
  render();
  const view = () => (home === conversation ? views.get(index)?.view : undefined);
  const draw = perFrame(() => {
    if (run?.stop !== controller || !view()) return;
    view().update(node.text, node.reply, true);
    follow();
    meterOf(node.reply);
  });
  view().notice.replaceChildren();
  if (document.activeElement !== draft) views.get(index).element.focus({ preventScroll: true });
  toEnd();
  const options = {
    signal: controller.signal,
    onText: (text) => ((node.text = text), draw()),
    onWait: (left, error) => view() && showNotice(view().notice, error, left, button("close", "Cancel", stop)),
  };
  const { text, error } = await work(node, options).catch((problem) => {
    const { error, finish } = outcomeOf(problem);
    if (node.reply) node.reply.finish = finish;
    return { text: node.text, error };
  });
  run = null;
  node.text = text;
  home.updated = Date.now();
  save(home);
  changed();
  if (view()) meterOf(node.reply);
  render();
  follow();
  if (view() && !error) view().notice.replaceChildren();
  if (error && view()) {
    const goesOn = canContinue(node.reply);
    showNotice(view().notice, error, undefined, button("redo", goesOn ? "Continue" : "Try again", () => !run && (goesOn ? goOn(index) : fill(index))));
  }
  if (error?.mayPass) look();
  announce(error ? `No reply: ${error.message}` : `Reply ${node.reply?.finish === "stopped" ? "stopped" : "finished"}: ${text}`);
}

const toEnd = () => scrollTo({ top: document.documentElement.scrollHeight });

const follow = () => isFollowing && toEnd();

function render() {
  const shown = path(conversation);
  const focused = document.activeElement;
  for (const index of shown) if (!views.has(index)) views.set(index, viewOf(index));
  byId("transcript").replaceChildren(...shown.map((index) => views.get(index).element));
  focused.focus({ preventScroll: true }); // it may have been taken out and put back
  byId("start").hidden = shown.length > 0;
  byId("start-facts").textContent = describeModel();
  for (const index of shown) refresh(index);
  onDraft();
  tint();
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
    views.get(to)[step < 0 ? "previous" : "next"].focus({ preventScroll: true });
  };
  if (role === "user") return new UserTurn(text, onMove, (edited) => answer(addNode(conversation, parent, "user", edited.toWellFormed())));
  return new AssistantTurn(onMove, {
    onRegenerate: () => answer(parent),
    onContinue: () => goOn(index),
    onChoose: (position, id) => branch(index, position, id),
  });
}

/** Brings the element of turn `index` in line with the turn. */
function refresh(index) {
  const { role, text, reply, active } = conversation.nodes[index];
  const turn = views.get(index);
  const all = siblings(conversation, index);
  const at = all.indexOf(index);
  const depths = all.map((each) => depth(conversation, each));
  const most = Math.max(...depths);
  const hidden = most - depths[at];
  const cut = role === "user" && conversation.nodes[active]?.reply?.cut;
  turn.showVersion(at, all.length, [
    cut && `The first ${plural(cut, "token")} of this message were cut.`,
    hidden && `Version ${depths.indexOf(most) + 1} keeps ${plural(hidden, "later message")}.`,
  ].filter(Boolean).join(" "));
  if (role === "assistant") {
    const isRunning = run?.conversation === conversation && run.index === index;
    turn.element.dataset.state = isRunning ? "streaming" : stateOf(reply);
    turn.view.update(text, reply, isRunning);
    turn.continue.hidden = !canContinue(reply);
  }
  for (const element of turn.element.querySelectorAll(".starts")) element.disabled = run !== null;
}

/** Fits the box and the button to what is in the box. */
function onDraft() {
  const element = byId("send");
  const name = run ? "Stop" : "Send";
  if (element.title !== name) {
    element.title = name;
    element.setAttribute("aria-label", name);
    element.replaceChildren(icon(name.toLowerCase()));
  }
  element.setAttribute("aria-disabled", !run && !draft.value.trim());
  draft.style.height = "auto";
  draft.style.height = `${draft.scrollHeight + 2}px`;
}

/** Tints all replies shown, newest first, or takes the tints away. */
async function tint() {
  const shown = path(conversation).reverse();
  byId("legend").hidden = !isTinted() || !shown.length;
  for (const { view } of shown.map((index) => views.get(index)).filter((turn) => turn.view)) {
    if (!isTinted()) view.showPlain();
    else if (await view.showProbabilities().then(() => false, (error) => showNotice(view.notice, error))) return;
  }
}

const piecesOf = (prompt, signal) => sendJson("tokenize", { prompt, add_special_tokens: false, return_pieces: true }, signal);

/** How many tokens the last message loses at its beginning: alone, it keeps what fits beside its role and its end. */
async function cutOf(text, { spans, tokens_dropped }, signal) {
  const [start, end] = spans.at(-1) ?? [0, 0];
  const whole = tokens_dropped && start === 1 ? (await piecesOf(text, signal)).count : 0;
  return Math.max(0, whole - Math.max(0, end - start - 2));
}

let typing = 0;
let planning = new AbortController();

function planSoon() {
  clearTimeout(typing);
  typing = setTimeout(plan, TYPING_MS);
}

/** Asks how the next prompt would come out, draft included; shows it in the lens, the meter and on the turns. */
async function plan() {
  clearTimeout(typing);
  planning.abort();
  byId("lens").hidden = !hasLens();
  if (!isReady() || !facts.chat) return;
  const { signal } = (planning = new AbortController());
  const text = draft.value.toWellFormed();
  const shown = path(conversation).filter((index) => said(conversation.nodes[index]));
  const next = messages(conversation, shown);
  if (text.trim()) next.push({ role: "user", content: text });
  try {
    if (hasLens()) showLens(text, await piecesOf(text, signal));
    const found = next.length ? await sendJson("tokenize", { messages: next }, signal) : { count: 0, spans: [], tokens_dropped: 0 };
    const { spans, tokens_dropped: dropped, count: prompt } = found;
    const lastUnfit = spans.lastIndexOf(null);
    shown.forEach((index, at) => views.get(index)?.showFit(spans[at] === null, at === lastUnfit));
    const last = conversation.nodes[shown.at(-1)];
    const [start, end] = spans.at(-1) ?? [0, 0];
    if (run?.conversation === conversation) return;
    if (last?.reply && !text.trim()) meterOf(last.reply);
    else showMeter({ dropped, prompt, reply: 0, draft: text.trim() ? end - start + 1 : 0 });
    const cut = text.trim() ? await cutOf(text, found, signal) : 0;
    const warning = cut ? `Only the last ${count(end - start - 2)} of this message's ${count(end - start - 2 + cut)} tokens fit.` : "";
    if (byId("draft-fit").textContent !== warning) byId("draft-fit").textContent = warning;
  } catch (error) {
    if (error.name !== "AbortError" && !error.status && !error.isLost) throw error; // refusals show when it is sent
  }
}

const meterOf = ({ dropped, prompt_ids, output_ids } = { dropped: 0, prompt_ids: [], output_ids: [] }) =>
  showMeter({ dropped, prompt: prompt_ids.length, reply: output_ids.length });
