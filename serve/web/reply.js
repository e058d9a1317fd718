// How one reply looks, in the chat and in the grid: its text or its tokens, what it took, what can be done with it.

import { button, copyText, count, el, plural } from "./dom.js";
import { replay } from "./generation.js";
import { marked } from "./pieces.js";
import { close, showTokens } from "./probabilities.js";
import { showRecipe } from "./recipe.js";
import { scoresOf } from "./scores.js";
import { facts, fingerprint } from "./server.js";

/** Whether this server's model made it: else its token ids mean nothing here. */
const isOurs = (reply) => reply?.model === fingerprint();

/** Whether the model can go on with it. */
export const canContinue = (reply) =>
  isOurs(reply) && reply.finish !== "stop" && reply.output_ids.length > 0 && reply.prompt_ids.length + reply.output_ids.length < facts.context;

/** How a turn or sample is doing, for its data-state. */
export const stateOf = (reply) => ({ stop: "done", length: "done", stopped: "stopped", lost: "lost" })[reply?.finish] ?? "failed";

export class ReplyView {
  /** actions: further buttons. onChoose(position, id): another token was picked. isRaw: marks special tokens. */
  constructor(onChoose, actions = [], isRaw = false) {
    Object.assign(this, { onChoose, isRaw });
    this.plain = document.createTextNode("");
    this.text = el("div", { class: "reply-text", dir: "auto" }, this.plain);
    this.notice = el("div");
    this.stats = el("p", { class: "stats small" });
    this.result = el("p", { class: "replay", role: "status" });
    this.copy = button("copy", "Copy", () => copyText(this.plain.data, this.copy));
    this.again = [
      button("replay", "Replay", () => this.replay()),
      button("code", "Request", () => showRecipe(this.reply)),
    ];
    this.actions = el("div", { class: "actions" }, this.copy, ...actions, ...this.again);
    this.parts = [this.text, this.notice, this.stats, this.actions, this.result];
  }

  /** Shows what there is of the reply; called once a frame while it grows. */
  update(text, reply, isRunning) {
    if (this.reply !== reply || this.plain.data !== text || isRunning) this.showPlain();
    this.reply = reply;
    this.plain.data = text;
    if (this.isRaw && !this.isTinted) this.text.replaceChildren(...marked(text));
    this.actions.hidden = isRunning;
    this.stats.textContent = reply?.output_ids.length ? statsOf(reply, isRunning) : "";
    this.copy.hidden = !text;
    for (const each of this.again) each.hidden = !isOurs(reply) || reply.output_ids.length <= reply.forced;
  }

  /** Tints the tokens as soon as the server has scored them. Raises ApiError. */
  async showProbabilities() {
    const { reply } = this;
    if (this.isTinted || !isOurs(reply) || !reply.finish || !reply.output_ids.length) return;
    const [scores] = await scoresOf([reply]);
    if (this.isTinted || this.reply !== reply || !reply.finish) return;
    this.isTinted = true;
    showTokens(this.text, this.plain.data, reply, scores, this.onChoose);
  }

  showPlain() {
    if (!this.isTinted) return;
    close();
    this.isTinted = false;
    this.text.replaceChildren(...(this.isRaw ? marked(this.plain.data) : [this.plain]));
  }

  async replay() {
    const { result } = this;
    delete result.dataset.result;
    result.textContent = "Asking again…";
    try {
      const found = await replay(this.reply, this.plain.data);
      result.dataset.result = found.isSame ? "identical" : "different";
      result.textContent = verdict(found);
    } catch (error) {
      result.textContent = `Could not ask again: ${error.message}`;
    }
  }
}

function verdict({ isSame, at, count: tokens, given, isSameModel }) {
  if (isSame && given) return `Identical: ${plural(tokens, "new token")} (${count(given)} were given).`;
  if (isSame) return `Identical: all ${plural(tokens, "token")} and the text came out the same again.`;
  if (at === null) return "Different: the tokens are the same, the text is not.";
  return `Different from token ${count(at + 1)} on${isSameModel ? "" : ": the model's weights have changed since"}.`;
}

function statsOf(reply, isRunning) {
  const { output_ids, forced, first_ms, total_ms, params, dropped, finish, prompt_ids } = reply;
  const parts = [plural(output_ids.length, "token")];
  if (first_ms) parts.push(`first after ${count(first_ms)} ms`);
  if (total_ms) parts.push(`${count((1000 * (output_ids.length - forced)) / total_ms)} tokens/s`);
  if (isRunning) return parts.join(" · ");
  parts.push(`temperature ${params.temperature}`, `seed ${params.sampling_seed}`);
  if (dropped) parts.push(`${plural(dropped, "token")} of the conversation dropped`);
  if (finish === "length") parts.push(prompt_ids.length + output_ids.length < facts.context ? "cut at max tokens" : "context full");
  if (finish === "stopped") parts.push("stopped");
  if (finish === "lost") parts.push("connection lost");
  if (!isOurs(reply)) parts.push("by another model");
  return parts.join(" · ");
}

/** Shows in `place` why there is no answer; left: seconds until it is asked for again, at 0 nothing is shown. */
export function showNotice(place, error, left, ...actions) {
  if (left === 0) return place.replaceChildren();
  if (left === undefined || !place.querySelector(".left")) {
    const why = left ? { 429: "Too many requests.", 503: "The server is busy." }[error.status] : error.message;
    // The countdown is shown, but not read out each second.
    place.replaceChildren(el("div", { class: "notice", role: "alert" }, why, el("span", { class: "left", "aria-live": "off" }), ...actions));
  }
  if (left) place.querySelector(".left").textContent = `Sending again in ${left} s`;
}
