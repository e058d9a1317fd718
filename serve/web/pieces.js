// The texts of tokens, made fit to be looked at one by one.

/** Spaces and line breaks made visible. */
export const visible = (text) => text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "(no text)";

/**
 * What to show for each token of `text`. By itself a token that is part of a character is but U+FFFD: the first of
 * those that make up a character gets the character, the others nothing.
 */
export function wholePieces(text, pieces) {
  let at = 0;
  return pieces.map((piece, i) => {
    if (!piece.includes("\ufffd")) {
      if (text.startsWith(piece, at)) at += piece.length; // else a special token, which is no part of the text
      return piece;
    }
    if (i > 0 && pieces[i - 1].includes("\ufffd")) return "";
    const next = pieces.slice(i).find((other) => !other.includes("\ufffd") && text.includes(other, at));
    const end = next === undefined ? text.length : text.indexOf(next, at);
    const whole = text.slice(at, end);
    at = end;
    return whole;
  });
}
