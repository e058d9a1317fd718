// The probability view: a reply as tinted tokens, and the box of alternatives to one of them.

import { byId, button, count, el } from "./dom.js";
import { visible, wholePieces } from "./pieces.js";
import { LEVELS, bits, levelOf, percent } from "./scores.js";
import { facts } from "./server.js";

const LEAVE_MS = 250; // the way from a token to its box may cross other things
const GAP = 6;
const box = byId("alternatives");
let shown = null; // {token, pinned}
let leaving = 0;

/** Fills `container` with one element a token. onChoose(position, id) when another token is picked there. */
export function showTokens(container, text, reply, scores, onChoose) {
  const whole = wholePieces(text, scores.map((score) => score.text));
  const tokens = scores.map((score, i) => {
    const ends = reply.finish === "stop" && i === scores.length - 1;
    const chosen = i === reply.forced - 1;
    const token = el("span", {
      class: ends ? "token end" : "token", role: "button", tabindex: i ? -1 : 0, "data-i": i,
      "data-level": levelOf(score.p), "data-forced": chosen, "aria-haspopup": "dialog",
      "aria-label": `${ends ? "end of the reply" : visible(score.text)}, ${percent(score.p)}`,
    }, ends ? "end" : whole[i] || "▯");
    token.about = { score, i, ends, total: scores.length, chosen, onChoose };
    return token;
  });
  const group = el("span", { class: "tokens", role: "group", "aria-label": "Reply, token by token. Arrow keys move, Enter shows alternatives." }, ...tokens);
  group.addEventListener("pointerover", (event) => event.pointerType === "mouse" && event.target.about && open(event.target, false));
  group.addEventListener("pointerout", (event) => event.pointerType === "mouse" && leave());
  group.addEventListener("focusin", (event) => {
    for (const token of group.querySelectorAll("[tabindex='0']")) token.tabIndex = -1;
    event.target.tabIndex = 0;
    if (event.target.matches(":focus-visible")) open(event.target, false);
  });
  group.addEventListener("focusout", (event) => !box.contains(event.relatedTarget) && !shown?.pinned && close());
  group.addEventListener("click", (event) => event.target.about && open(event.target, true));
  group.addEventListener("keydown", onTokenKey);
  container.replaceChildren(group);
}

function onTokenKey(event) {
  const token = event.target;
  if (!token.about) return;
  const all = token.parentElement.children;
  const to = { ArrowLeft: token.about.i - 1, ArrowRight: token.about.i + 1, Home: 0, End: all.length - 1 }[event.key];
  if (to !== undefined) all[to]?.focus();
  else if (event.key === "Enter" || event.key === " " || event.key === "ArrowDown") {
    open(token, true);
    box.querySelector(".alternative").focus();
  } else return;
  event.preventDefault();
}

function open(token, pinned) {
  clearTimeout(leaving);
  if (shown?.token === token) {
    shown.pinned ||= pinned;
    return;
  }
  if (shown?.pinned && !pinned) return;
  close();
  shown = { token, pinned };
  token.setAttribute("aria-expanded", "true");
  fill(token.about);
  box.hidden = false;
  place(token);
}

export function close() {
  if (!shown) return;
  clearTimeout(leaving);
  shown.token.removeAttribute("aria-expanded");
  shown = null;
  box.hidden = true;
}

function leave() {
  if (shown && !shown.pinned) {
    clearTimeout(leaving);
    leaving = setTimeout(() => shown && !shown.pinned && !box.contains(document.activeElement) && close(), LEAVE_MS);
  }
}

function fill({ score, i, ends, total, chosen, onChoose }) {
  const listed = score.top.some(({ id }) => id === score.id);
  const rest = Math.max(0, 1 - score.top.reduce((sum, { p }) => sum + p, 0));
  const choose = (id) => {
    close();
    onChoose(i, id);
  };
  box.replaceChildren(
    el("div", { class: "row between" },
      el("h2", { id: "alternatives-title" }, `Token ${count(i + 1)} of ${count(total)}: `, el("bdi", { class: "mono" }, ends ? "end" : visible(score.text))),
      button("close", "Close", () => back(), { shown: "" })),
    el("p", { class: "facts" },
      el("span", {}, percent(score.p)),
      el("span", { class: "rank" }, score.rank ? `rank ${score.rank}` : `rank above ${score.top.length}`),
      el("span", { class: "entropy", title: "How undecided the model was here" }, `entropy ${bits(score.entropy)}`)),
    el("ol", {}, ...score.top.map((other) => alternative(other, other.id === score.id, ends, () => choose(other.id))),
      listed ? null : alternative(score, true, ends, () => {}),
      rest > 0.00005 ? el("li", { class: "others" }, el("span", {}, listed ? "all others" : "all others, this one too"), el("span", {}, percent(rest))) : null),
    el("p", { class: "small" }, chosen ? "You chose this token. " : "", "Pick another token to branch the reply from here. These are the model's own probabilities, before temperature and cuts."),
  );
}

function alternative({ id, text, p }, chosen, ends, onclick) {
  const bar = el("span", { class: "bar" });
  bar.style.setProperty("--share", p);
  const what = chosen && ends ? "end" : visible(text);
  return el("li", {}, el("button", {
    type: "button", class: "alternative", "aria-current": chosen ? "true" : null, "aria-disabled": chosen ? "true" : null,
    "aria-label": `${what}, ${percent(p)}${chosen ? ", in the reply" : ""}`, title: `token ${id}`, onclick: chosen ? () => {} : onclick,
  }, el("bdi", { class: "mono" }, what), el("span", { class: "figure" }, percent(p)), bar));
}

/** Closes the box and returns to its token. */
function back() {
  const token = shown?.token;
  close();
  token?.focus({ preventScroll: true });
  close(); // the focus has opened it again
}

/** Beside the token where there is room; on a narrow screen the style sheet docks it at the bottom. */
function place(token) {
  const at = token.getClientRects()[0];
  const { offsetWidth: width, offsetHeight: height } = box;
  const below = at.bottom + GAP + height <= innerHeight || at.top < height + GAP;
  const top = below ? Math.min(at.bottom + GAP, innerHeight - height - GAP) : at.top - height - GAP;
  box.style.setProperty("--x", `${Math.max(GAP, Math.min(at.left, document.documentElement.clientWidth - width - GAP))}px`);
  box.style.setProperty("--y", `${Math.max(GAP, top)}px`);
}

/** The legend of tints, for both tabs. */
export function legend() {
  return el("div", { class: "legend", role: "note" },
    el("span", {}, "Probability of each token:"),
    ...LEVELS.map((label, level) => el("span", { class: "token", "data-level": level }, label)),
    el("span", { class: "small" }, "Point at a token, tap it, or go there with Tab and the arrow keys."));
}

export function startProbabilities() {
  box.addEventListener("pointerenter", () => clearTimeout(leaving));
  box.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && leave());
  box.addEventListener("keydown", (event) => {
    const all = [...box.querySelectorAll("button.alternative")];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[to]?.focus();
  });
  box.addEventListener("focusout", (event) => {
    if (!box.contains(event.relatedTarget) && event.relatedTarget && event.relatedTarget !== shown?.token) close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !shown) return;
    event.stopPropagation();
    if (box.contains(document.activeElement) || document.activeElement === shown.token) back();
    else close();
  }, true);
  document.addEventListener("pointerdown", (event) => {
    if (shown && !box.contains(event.target) && !event.target.about) close();
  });
  addEventListener("resize", close);
  addEventListener("scroll", () => shown && !matchMedia("(max-width: 40rem)").matches && close(), { passive: true });
}
