// The probability view: a reply as tinted tokens, and the box of alternatives to one of them.

import { byId, count, el, iconButton } from "./dom.js";
import { isSpecial, visible, wholePieces } from "./pieces.js";
import { LEVELS, describeEntropy, levelOf, percent, restOf } from "./scores.js";

const REST_MS = 120; // a pointer that only passes opens nothing
const LEAVE_MS = 250; // the way from a token to its box may cross other things
const GAP = 6;
const box = byId("alternatives");
let token = null; // the element whose box is open
let isPinned = false; // stays when the pointer leaves
let resting = 0;
let leaving = 0;

/** Fills `container` with one element a token of `text`. onChoose(position, id): another token is picked there. */
export function showTokens(container, text, reply, scores, onChoose) {
  const whole = wholePieces(text, scores.map((score) => score.text));
  const tokens = scores.map((score, i) => {
    const isEnd = reply.finish === "stop" && i === scores.length - 1;
    const isChosen = i === reply.forced - 1;
    const element = el("span", {
      class: `token${isEnd ? " end" : ""}${isEnd || isSpecial(score.text) ? " special" : ""}`, role: "button", tabindex: i ? -1 : 0, "data-level": levelOf(score.p), "data-forced": isChosen,
      "aria-label": `${visible(score.text)}, ${percent(score.p)}`,
    }, isEnd ? "" : whole[i]);
    element.about = { score, i, isChosen, total: scores.length, onChoose };
    return element;
  });
  container.replaceChildren(el("span", {
    role: "group", "aria-label": "Tokens: arrow keys move, Enter shows alternatives",
    onpointermove: onMove, onpointerout: leave, onfocusin: onFocus, onfocusout: onBlur, onkeydown: onTokenKey,
    onclick: ({ target }) => target.about && open(target, true),
  }, ...tokens));
  // Whoever has just branched goes on from the token chosen.
  if (container.closest("[tabindex]") === document.activeElement) tokens[reply.forced - 1]?.focus({ preventScroll: true });
}

/** On moves alone: a token that comes to lie under a pointer at rest was not pointed at. */
function onMove({ target, pointerType }) {
  clearTimeout(resting);
  if (target.about && pointerType === "mouse") resting = setTimeout(open, REST_MS, target, false);
}

function onFocus({ target, currentTarget }) {
  currentTarget.querySelector("[tabindex='0']").tabIndex = -1;
  target.tabIndex = 0;
  if (target.matches(":focus-visible")) open(target, false);
}

function onBlur({ relatedTarget }) {
  if (!isPinned && !box.contains(relatedTarget)) close();
}

function onTokenKey(event) {
  const { target, key } = event;
  const all = target.parentElement.children;
  const to = { ArrowLeft: target.about.i - 1, ArrowRight: target.about.i + 1, Home: 0, End: all.length - 1 }[key];
  if (to !== undefined) all[to]?.focus();
  else if (["Enter", " ", "ArrowDown"].includes(key)) {
    open(target, true);
    box.querySelector(".alternative").focus();
  } else return;
  event.preventDefault();
}

function open(target, pins) {
  clearTimeout(leaving);
  if (!target.isConnected) return;
  if (token !== target) {
    if (isPinned && !pins) return;
    close();
    token = target;
    token.setAttribute("aria-expanded", true);
    fill(token.about);
    box.hidden = false;
    place();
  }
  isPinned ||= pins;
}

export function close() {
  clearTimeout(leaving);
  token?.removeAttribute("aria-expanded");
  token = null;
  isPinned = false;
  box.hidden = true;
}

function back() {
  const target = token;
  target.focus({ preventScroll: true });
  close();
}

function leave() {
  clearTimeout(resting);
  clearTimeout(leaving);
  if (!isPinned && !box.contains(document.activeElement)) leaving = setTimeout(close, LEAVE_MS);
}

function fill({ score, i, isChosen, total, onChoose }) {
  const { id, text, top, p, rank, entropy } = score;
  const rest = restOf(top);
  const choose = (other) => {
    close();
    onChoose(i, other);
  };
  const row = (other) => alternative(other, other.id === id, () => choose(other.id));
  box.replaceChildren(
    el("div", { class: "row between" },
      el("h2", { id: "alternatives-title" }, `Token ${count(i + 1)} of ${count(total)}: `, el("bdi", { class: "mono" }, visible(text))),
      iconButton("close", "Close", back)),
    el("p", { class: "row facts" },
      el("strong", {}, percent(p)),
      el("span", { class: "rank" }, rank ? `rank ${rank}` : `rank beyond ${top.length}`),
      el("span", { class: "entropy", title: "How undecided the model was here" }, describeEntropy(entropy))),
    el("ol", {}, ...[...top, ...(rank ? [] : [score])].map((other) => el("li", {}, row(other))),
      rest > 0.00005 ? el("li", { class: "others" }, el("span", {}, rank ? "all others" : "all others, with this one"), el("span", {}, percent(rest))) : null),
    el("p", { class: "small" }, `${isChosen ? "You chose this token. " : ""}Pick another token to branch here. Probabilities are the model's own, before temperature and cuts.`),
  );
}

function alternative({ id, text, p }, isInReply, onclick) {
  const bar = el("span", { class: "bar" });
  bar.style.setProperty("--share", p);
  const name = visible(text);
  const state = isInReply ? { "aria-current": true, "aria-disabled": true } : { onclick };
  return el("button", { class: "alternative", title: `token ${id}`, "aria-label": `${name}, ${percent(p)}${isInReply ? ", in the reply" : ""}`, ...state },
    el("bdi", { class: "mono" }, name), el("span", { class: "figure" }, percent(p)), bar);
}

/** Below the token where there is room, else on the side that has more; never over it. */
function place() {
  const { left, top, bottom } = token.getBoundingClientRect(); // of all its lines
  const below = innerHeight - bottom - 2 * GAP;
  const above = top - 2 * GAP;
  box.style.setProperty("--room", "none");
  const isBelow = box.offsetHeight <= below || below >= above;
  box.style.setProperty("--room", `${isBelow ? below : above}px`);
  const { offsetWidth: width, offsetHeight: height } = box;
  box.style.setProperty("--x", `${Math.max(GAP, Math.min(left, document.documentElement.clientWidth - width - GAP))}px`);
  box.style.setProperty("--y", `${isBelow ? bottom + GAP : top - height - GAP}px`);
}

export const legend = (id) =>
  el("p", { id, class: "legend row small" }, "Probability:",
    ...LEVELS.map((label, level) => el("span", { class: "token", "data-level": level }, label)), el("span", { class: "how" }, "Point at a token or tap it. Tab to a reply, then arrow keys; Down for alternatives."));

export function startProbabilities() {
  box.addEventListener("pointerenter", () => clearTimeout(leaving));
  box.addEventListener("pointerleave", leave);
  box.addEventListener("keydown", (event) => {
    const all = [...box.querySelectorAll(".alternative")];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[to]?.focus();
  });
  box.addEventListener("focusout", ({ relatedTarget }) => relatedTarget && relatedTarget !== token && !box.contains(relatedTarget) && close());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !token) return;
    event.stopPropagation(); // else it would stop the reply as well
    if (box.contains(document.activeElement) || document.activeElement === token) back();
    else close();
  }, true);
  document.addEventListener("pointerdown", ({ target }) => token && !target.about && !box.contains(target) && close());
  addEventListener("resize", close);
  addEventListener("scroll", close, { passive: true });
}
