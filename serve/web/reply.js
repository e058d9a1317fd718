// How one reply looks, in the chat and in the grid: its text or its tokens, what it took, what can be done with it.

import { button, copyText, count, el, fine, plural } from "./dom.js";
import { replay, statsOf } from "./generation.js";
import { showRecipe } from "./recipe.js";
import { close, showTokens } from "./probabilities.js";
import { scoresOf } from "./scores.js";
import { facts, fingerprint } from "./server.js";

/** Whether this server's model made it: else its token ids mean nothing here. */
export const isOurs = (reply) => Boolean(reply) && reply.model === fingerprint();

/** Whether the model can go on with it. */
export const canContinue = (reply) =>
  isOurs(reply) && ["length", "stopped", "lost", "failed"].includes(reply.finish) && reply.output_ids.length > 0 &&
  reply.prompt_ids.length + reply.output_ids.length < facts.context;

/** A refusal, or a wait that counts down; `left` in seconds where there is one. */
export function noticeFor(error, left, actions) {
  const why = error.status === 429 ? "Too many requests." : error.status === 503 ? "The server is busy." : error.message;
  const text = left ? `${why} Sending again in ${left} s` : error.mayPass ? `${why} ${error.message}` : why;
  // A countdown that is read out each second would drown all else.
  return el("div", { class: "notice", role: left ? null : "alert" }, el("span", {}, text), ...actions);
}

export class ReplyView {
  /** actions: further buttons; onChoose(position, id): another token was picked. */
  constructor({ actions = [], onChoose }) {
    this.onChoose = onChoose;
    this.plain = document.createTextNode("");
    this.text = el("div", { class: "reply-text", dir: "auto" }, this.plain);
    this.notice = el("div", {});
    this.stats = el("p", { class: "stats small" });
    this.result = el("p", { class: "replay", role: "status" });
    this.copy = button("copy", "Copy", () => copyText(this.plain.data, this.copy));
    this.replay = button("replay", "Replay", () => this.runReplay(), { class: "quiet starts" });
    this.request = button("code", "Request", () => showRecipe(this.reply));
    this.actions = el("div", { class: "actions" }, this.copy, ...actions, this.replay, this.request);
    this.parts = [this.text, this.notice, this.stats, this.actions, this.result];
  }

  /** Shows what there is of the reply; called once a frame while it grows. */
  update(text, reply) {
    this.reply = reply;
    if (this.tokens) this.showPlain();
    if (this.plain.data !== text) this.plain.data = text;
    const running = !reply || reply.finish === null;
    this.actions.hidden = running;
    this.stats.textContent = reply?.output_ids.length ? statsText(reply, running) : "";
    this.copy.hidden = text === "";
    this.replay.hidden = !isOurs(reply) || reply.finish === "failed" || reply.output_ids.length <= reply.forced;
    this.request.hidden = this.replay.hidden;
  }

  /** Tints the tokens as soon as the server has scored them. */
  async showProbabilities() {
    const { reply } = this;
    if (!isOurs(reply) || reply.finish === null || !reply.output_ids.length) return;
    const scores = await scoresOf(reply);
    if (this.reply !== reply || this.tokens || reply.finish === null) return;
    this.tokens = true;
    showTokens(this.text, this.plain.data, reply, scores, this.onChoose);
  }

  showPlain() {
    if (!this.tokens) return;
    close();
    this.tokens = false;
    this.text.replaceChildren(this.plain);
  }

  showNotice(...notice) {
    this.notice.replaceChildren(...notice);
  }

  async runReplay() {
    this.result.textContent = "Asking again…";
    delete this.result.dataset.result;
    try {
      const found = await replay(this.reply, this.plain.data);
      this.result.dataset.result = found.identical ? "identical" : "different";
      this.result.textContent = found.identical
        ? `Identical: all ${plural(found.count, "token")} and the text are the same again.`
        : differenceText(found);
    } catch (error) {
      this.result.textContent = `Replay failed: ${error.message}`;
    }
  }
}

function differenceText({ at, sameModel }) {
  const where = at === null ? "Differs: the tokens are the same, the text is not." : `Differs from token ${count(at + 1)} on.`;
  return sameModel ? `${where} This server's arithmetic depends on what else it computes at the time.` : `${where} The model's weights have changed since.`;
}

function statsText(reply, running) {
  const { tokens, first_ms, speed } = statsOf(reply);
  const parts = [plural(tokens, "token")];
  if (first_ms) parts.push(`first after ${fine(first_ms)} ms`);
  if (speed) parts.push(`${count(speed)} tokens/s`);
  if (!running) {
    parts.push(`temperature ${reply.params.temperature}`, `seed ${reply.params.sampling_seed}`);
    if (reply.dropped) parts.push(`${plural(reply.dropped, "token")} of the conversation dropped`);
    if (reply.finish === "length") parts.push(reply.prompt_ids.length + tokens >= facts.context ? "context full" : "cut at max tokens");
    if (reply.finish === "stopped") parts.push("stopped");
    if (reply.finish === "lost") parts.push("connection lost");
    if (!isOurs(reply)) parts.push("by another model");
  }
  return parts.join(" · ");
}
