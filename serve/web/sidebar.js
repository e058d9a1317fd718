// The list of conversations: open, rename, delete and bring back, export, import.

import { current, leave, openConversation } from "./chat.js";
import { cut, fromFile, newConversation, toFile } from "./conversation.js";
import { byId, button, el, plural } from "./dom.js";
import { forget, loadAll, onFull, onOtherTab, save } from "./store.js";

const MAX_FILE = 20_000_000; // bytes; more than any browser keeps for a page
const NARROW = "(max-width: 56rem)";
let conversations = [];

export function startSidebar() {
  conversations = loadAll();
  byId("new-chat").addEventListener("click", () => {
    openConversation(newConversation());
    closeDialog();
    draw();
    byId("draft").focus();
  });
  byId("export").addEventListener("click", exportAll);
  byId("import").addEventListener("click", () => byId("import-file").click());
  byId("import-file").addEventListener("change", (event) => importFile(event.target));
  onFull(() => (byId("import-result").textContent = "The browser's room for this page is full. Export conversations, then delete some."));
  onOtherTab(() => {
    const kept = current();
    conversations = loadAll().map((found) => (found.id === kept.id ? kept : found));
    draw();
  });
  arrangeSidebar();
  if (conversations.length) openConversation(conversations[0]);
  draw();
}

/** A conversation was changed: the newest stands first. */
export function touched() {
  if (!conversations.includes(current()) && current().nodes.length) conversations.push(current());
  conversations.sort((a, b) => b.updated - a.updated);
  draw();
}

function draw() {
  const focused = document.activeElement?.dataset.focus;
  byId("conversations").replaceChildren(...conversations.map(item));
  if (focused) byId("conversations").querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

const nameOf = (conversation) => conversation.title || "Untitled";

function item(conversation) {
  const name = nameOf(conversation);
  const open = () => {
    openConversation(conversation);
    closeDialog();
    draw();
  };
  const row = el("li", {},
    el("button", {
      type: "button", class: "title", title: name, onclick: open, "data-focus": conversation.id,
      "aria-current": conversation === current() ? "true" : null,
    }, el("bdi", {}, name)),
    button("edit", `Rename ${name}`, () => rename(row, conversation), { shown: "" }),
    button("trash", `Delete ${name}`, () => remove(conversation), { shown: "" }));
  return row;
}

function rename(row, conversation) {
  const input = el("input", { type: "text", "aria-label": "Title", maxlength: 120 });
  let over = false;
  const end = (keep) => {
    if (over) return;
    over = true;
    const title = cut(input.value.trim(), 120);
    if (keep && title) {
      conversation.title = title;
      save(conversation);
    }
    draw();
    byId("conversations").querySelector(`[data-focus="${CSS.escape(conversation.id)}"]`)?.focus();
  };
  input.value = nameOf(conversation);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    if (event.isComposing) return;
    event.preventDefault(); // Escape would close the dialog around the list
    event.stopPropagation();
    end(event.key === "Enter");
  });
  input.addEventListener("blur", () => end(true));
  row.replaceChildren(input);
  input.focus();
  input.select();
}

function remove(conversation) {
  leave(conversation);
  forget(conversation);
  const at = conversations.indexOf(conversation);
  conversations.splice(at, 1);
  if (conversation === current()) openConversation(conversations[Math.min(at, conversations.length - 1)] ?? newConversation());
  const undo = el("button", { type: "button", onclick: () => {
    save(conversation);
    conversations.push(conversation);
    openConversation(conversation);
    byId("deleted").replaceChildren();
    touched();
    byId("conversations").querySelector("[aria-current]")?.focus();
  } }, "Undo");
  // Stays until the next one is deleted: nobody has to be quick.
  byId("deleted").replaceChildren(el("span", {}, "Deleted “", el("bdi", {}, nameOf(conversation)), "”"), undo);
  draw();
  undo.focus();
}

function exportAll() {
  const result = byId("import-result");
  if (!conversations.length) {
    result.textContent = "There is nothing to export yet.";
    return;
  }
  const url = URL.createObjectURL(new Blob([toFile(conversations)], { type: "application/json" }));
  el("a", { href: url, download: "microgpt-conversations.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  result.textContent = `Exported ${plural(conversations.length, "conversation")}.`;
}

async function importFile(input) {
  const result = byId("import-result");
  const [file] = input.files;
  input.value = ""; // so that choosing the same file again is a change
  if (!file) return;
  try {
    if (file.size > MAX_FILE) throw new Error("It is larger than 20 MB.");
    const found = fromFile(await file.text());
    conversations.push(...found);
    const kept = found.filter((conversation) => save(conversation)).length;
    if (found.length) openConversation(found[0]);
    touched();
    result.textContent = kept === found.length
      ? `Imported ${plural(kept, "conversation")}.`
      : `Imported ${plural(found.length, "conversation")}, but the browser has room to keep only ${kept}.`;
  } catch (error) {
    result.textContent = `Not imported. ${error.message}`;
  }
}

/** Beside the page where it is wide, in a dialog where it is narrow: the same elements in either. */
function arrangeSidebar() {
  const narrow = matchMedia(NARROW);
  const dialog = byId("sidebar-dialog");
  const arrange = () => {
    if (!narrow.matches) dialog.close();
    (narrow.matches ? dialog : byId("sidebar")).append(byId("sidebar-content"));
  };
  narrow.addEventListener("change", arrange);
  byId("open-sidebar").addEventListener("click", () => dialog.showModal());
  arrange();
}

const closeDialog = () => byId("sidebar-dialog").close();
