// The list of conversations: open, rename, delete and bring back, export, import.

import { current, leave, openConversation } from "./chat.js";
import { MAX_TITLE, checked, cut, fromFile, newConversation, toFile } from "./conversation.js";
import { byId, count, el, iconButton, onClick, plural } from "./dom.js";
import { forget, loadAll, onFull, save } from "./store.js";

const MAX_FILE = 20_000_000; // bytes; more than any browser keeps for a page
const list = byId("conversations");
const dialog = byId("sidebar-dialog");
const result = byId("import-result");
let conversations = loadAll();

export function startSidebar() {
  onClick("new-chat", () => {
    openAndClose(newConversation());
    byId("draft").focus();
  });
  onClick("export", exportAll);
  onClick("import", () => byId("import-file").click());
  byId("import-file").addEventListener("change", (event) => importFile(event.target));
  // An offer to undo holds until something else is done: nobody has to be quick.
  addEventListener("click", ({ target }) => byId("deleted").contains(target) || byId("deleted").replaceChildren(), true);
  onFull(() => (result.textContent = "The browser has no more room for this page. Export conversations, then delete some."));
  arrange();
  openConversation(conversations[0] ?? current());
  draw();
}

export function touched() {
  if (!conversations.includes(current()) && current().nodes.length) conversations.push(current());
  conversations.sort((a, b) => b.updated - a.updated);
  draw();
}

function openAndClose(conversation) {
  openConversation(conversation);
  dialog.close();
  if (!byId("tab-chat").hidden) byId("tab-chat").click();
  draw();
}

function draw() {
  if (list.contains(document.activeElement) && document.activeElement.matches("input")) return; // a title is being typed
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...conversations.map(item));
  list.querySelectorAll("button")[focused]?.focus();
}

const nameOf = ({ title }) => title || "Untitled";

function item(conversation) {
  const name = nameOf(conversation);
  const row = el("li", {},
    el("button", { class: "title", title: name, "aria-current": conversation === current() || null, onclick: () => openAndClose(conversation) },
      el("bdi", {}, name)),
    iconButton("edit", `Rename ${name}`, () => rename(row, conversation)),
    iconButton("trash", `Delete ${name}`, () => remove(conversation)));
  return row;
}

function rename(row, conversation) {
  const input = el("input", { type: "text", "aria-label": "Title", maxlength: MAX_TITLE });
  const end = (keeps) => {
    input.onblur = null; // taking the field out would call it once more
    const title = cut(input.value.trim(), MAX_TITLE);
    if (keeps && title) {
      conversation.title = title;
      save(conversation);
    }
    const fresh = item(conversation);
    row.replaceWith(fresh);
    fresh.firstChild.focus();
  };
  input.value = nameOf(conversation);
  input.onblur = () => end(true);
  input.addEventListener("keydown", (event) => {
    if (!["Enter", "Escape"].includes(event.key) || event.isComposing) return;
    event.preventDefault(); // Escape would close the dialog around the list
    event.stopPropagation();
    end(event.key === "Enter");
  });
  row.replaceChildren(input);
  input.select();
}

function remove(conversation) {
  leave(conversation);
  forget(conversation);
  conversations = conversations.filter((each) => each !== conversation);
  if (conversation === current()) openConversation(conversations[0] ?? newConversation());
  const bringBack = () => {
    save(conversation);
    conversations.push(conversation);
    byId("deleted").replaceChildren();
    openConversation(conversation);
    touched();
    list.querySelector("[aria-current]").focus();
  };
  const undo = el("button", { onclick: bringBack }, "Undo");
  byId("deleted").replaceChildren(el("span", {}, "Deleted “", el("bdi", {}, nameOf(conversation)), "”"), undo);
  draw();
  undo.focus();
}

function exportAll() {
  const url = URL.createObjectURL(new Blob([toFile(conversations)], { type: "application/json" }));
  el("a", { href: url, download: "microgpt-conversations.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  result.textContent = `Exported ${plural(conversations.length, "conversation")}.`;
}

async function importFile(input) {
  const [file] = input.files;
  if (!file) return;
  try {
    if (file.size > MAX_FILE) throw new Error("It is larger than 20 MB.");
    const asFile = (conversation) => toFile([checked(conversation)]);
    const known = new Set(conversations.map(asFile));
    const all = fromFile(await file.text());
    const found = all.filter((each) => !known.has(asFile(each)));
    const skipped = all.length - found.length;
    result.textContent = `Imported ${plural(found.length, "conversation")}${skipped ? `; skipped ${count(skipped)} already here` : ""}.`;
    conversations.push(...found);
    found.every(save); // the first for which there is no room says so
    if (found.length) openConversation(found[0]);
    touched();
  } catch (error) {
    result.textContent = `Not imported. ${error.message}`;
  }
  input.value = ""; // so that choosing the same file again is a change
}

/** Beside the page where it is wide, in a dialog where it is narrow: the same elements in either. */
function arrange() {
  const narrow = matchMedia("(max-width: 56rem)");
  const move = () => {
    dialog.close();
    (narrow.matches ? dialog : byId("sidebar")).append(byId("sidebar-content"));
  };
  narrow.addEventListener("change", move);
  onClick("open-sidebar", () => dialog.showModal());
  move();
}
