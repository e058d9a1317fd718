// Conversations in localStorage, one key each, so that saving one does not write the others.

import { checked } from "./conversation.js";

const PREFIX = "microgpt.conversation.";
const listeners = { full: () => {} };

export const onFull = (listener) => (listeners.full = listener);

/** All conversations kept, newest first; what cannot be read is left where it is and not shown. */
export function loadAll() {
  const found = [];
  for (const key of Object.keys(localStorage).filter((name) => name.startsWith(PREFIX))) {
    try {
      found.push({ ...checked(JSON.parse(localStorage.getItem(key))), id: key.slice(PREFIX.length) });
    } catch (error) {
      console.warn(`${key} is not a conversation: ${error.message}`);
    }
  }
  return found.sort((a, b) => b.updated - a.updated);
}

/** Whether the browser had room for it. */
export function save(conversation) {
  const { id, ...rest } = conversation;
  return put(PREFIX + id, rest);
}

export const forget = (conversation) => localStorage.removeItem(PREFIX + conversation.id);

/** Calls back with nothing when another tab of the page has changed a conversation. */
export function onOtherTab(changed) {
  addEventListener("storage", (event) => {
    if (event.key === null || event.key.startsWith(PREFIX)) changed();
  });
}

/** A small setting of the page, or `fallback`. */
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
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    listeners.full();
    return false;
  }
}
