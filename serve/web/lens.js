// The tokenizer lens: the draft cut into its tokens, each with its id.

import { byId, el, plural } from "./dom.js";
import { visible, wholePieces } from "./pieces.js";

const MOST = 600; // pieces drawn; a longer draft says how many more there are

/** tokens: ids; pieces: their texts, as /tokenize gives both for `text`. */
export function showPieces(text, { tokens, pieces }) {
  const whole = wholePieces(text, pieces);
  const shown = tokens.slice(0, MOST).map((id, i) =>
    el("span", { class: "piece" }, el("bdi", { class: "mono" }, whole[i] ? visible(whole[i]) : "…"), el("span", { class: "id" }, String(id))));
  byId("lens-pieces").replaceChildren(...shown);
  const more = tokens.length > MOST ? `, the first ${MOST} shown` : "";
  const each = tokens.length ? `, ${([...text].length / tokens.length).toFixed(1)} characters each` : ". Type to see how the model reads it";
  byId("lens-count").textContent = `${plural(tokens.length, "token")}${each}${more}`;
}
