// What is kept in localStorage: conversations, one key each; drafts; settings.

import { checked } from "./conversation.js";

const PREFIX = "microgpt.conversation.";
let full = () => {};

/** Calls back when the browser had no room for something. */
export const onFull = (listener) => (full = listener);

/** All conversations kept, newest first; what cannot be read is left where it is and not shown. */
export function loadAll() {
  const found = Object.keys(localStorage).flatMap((key) => {
    try {
      return key.startsWith(PREFIX) ? [{ ...checked(JSON.parse(localStorage.getItem(key))), id: key.slice(PREFIX.length) }] : [];
    } catch {
      return [];
    }
  });
  return found.sort((a, b) => b.updated - a.updated);
}

/** Whether the browser had room for it. */
export const save = ({ id, ...rest }) => put(PREFIX + id, rest);
export const forget = ({ id }) => {
  localStorage.removeItem(PREFIX + id);
  write(`draft.${id}`, "");
};

/** A setting, or `fallback`. */
export function read(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(`microgpt.${name}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

export const write = (name, value) => put(`microgpt.${name}`, value);

function put(key, value) {
  try {
    if (value === "") localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    full();
    return false;
  }
}
