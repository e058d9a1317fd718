// The texts of tokens, made fit to be looked at one by one; the tokenizer lens.

import { byId, count, el, plural } from "./dom.js";

const MOST = 600; // pieces drawn; a longer draft says how many more there are
const PARTIAL = "\ufffd";

const SPECIAL = /(<(?:bos|user|assistant|end_turn)>)/;

/** `text` as nodes, special tokens as chips that are copied as text. */
export const marked = (text) => text.split(SPECIAL).filter(Boolean).map((part) => (SPECIAL.test(part) ? el("span", { class: "special" }, part) : part));

export const isSpecial = (text) => SPECIAL.exec(text)?.[0] === text;

/** Spaces and line breaks made visible. */
export const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "(no text)";

/**
 * What to show for each token of `text`. A part of a character is but U+FFFD: the first of its tokens gets the whole
 * character, the others nothing.
 */
export function wholePieces(text, pieces) {
  const isPart = (piece) => piece?.includes(PARTIAL);
  let at = 0;
  return pieces.map((piece, i) => {
    if (!isPart(piece)) {
      if (text.startsWith(piece, at)) at += piece.length; // else a special token, which is no part of the text
      return piece;
    }
    if (isPart(pieces[i - 1])) return "";
    const next = pieces.slice(i).find((other) => !isPart(other) && text.includes(other, at));
    const whole = text.slice(at, next === undefined ? undefined : text.indexOf(next, at));
    at += whole.length;
    return whole;
  });
}

/** Shows `text`, the draft, cut into its tokens; tokens and pieces as /tokenize gives them. */
export function showLens(text, { tokens, pieces }) {
  const shown = wholePieces(text, pieces.slice(0, MOST)).map((piece, i) =>
    el("span", { class: "piece" }, el("bdi", { class: "mono" }, piece ? visible(piece) : "…"), el("span", { class: "id" }, tokens[i])));
  byId("lens-pieces").replaceChildren(...shown);
  const more = tokens.length > MOST ? `, of which ${count(MOST)} are shown` : "";
  byId("lens-count").textContent = tokens.length ? `${plural(tokens.length, "token")}${more}` : "Type to see how the model reads it.";
}
