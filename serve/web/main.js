// The page begins here.

import { keepKey, onTrouble } from "./api.js";
import { startChat } from "./chat.js";
import { byId, icon, iconButton, onClick } from "./dom.js";
import { startGrid } from "./grid.js";
import { redraw, startMeter } from "./meter.js";
import { close, startProbabilities } from "./probabilities.js";
import { startRecipe } from "./recipe.js";
import { startSampling } from "./sampling.js";
import { describeModel, facts, look, onReady } from "./server.js";
import { startSidebar, touched } from "./sidebar.js";
import { read, write } from "./store.js";
import { startStrip } from "./strip.js";

const THEMES = ["system", "light", "dark"];
const TABS = ["chat", "generate"];
const root = document.documentElement;

onTrouble({ askForKey, lost: look });
for (const element of document.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
startTheme();
startTabs();
for (const dialog of document.querySelectorAll("dialog[closedby]")) {
  dialog.prepend(iconButton("close", "Close", () => dialog.close(), { class: "close" }));
}
startSampling();
startRecipe();
startProbabilities();
startMeter();
startChat(touched);
startGrid();
startSidebar();
startStrip();
onReady(() => {
  byId("model-card").textContent = `Model ${facts.name}: ${describeModel()}`;
  byId("tab-chat").hidden = byId("raw-hint").hidden = !facts.chat;
  if (!facts.chat) select("generate");
});
look();

function startTheme() {
  const element = byId("theme");
  const set = (theme) => {
    root.dataset.theme = theme;
    element.replaceChildren(icon(theme));
    element.title = `Theme: ${theme}`;
    element.setAttribute("aria-label", element.title);
    redraw();
  };
  const kept = read("theme", "");
  set(THEMES.includes(kept) ? kept : "system");
  element.addEventListener("click", () => {
    set(THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length]);
    write("theme", root.dataset.theme);
  });
}

function startTabs() {
  for (const name of TABS) onClick(`tab-${name}`, () => select(name));
  byId("tabs").addEventListener("keydown", ({ key }) => {
    if (!["ArrowLeft", "ArrowRight"].includes(key) || !facts.chat) return;
    select(location.hash === "#chat" ? "generate" : "chat");
    byId("tabs").querySelector("[aria-selected='true']").focus();
  });
  select(location.hash.slice(1));
}

function select(wanted) {
  const name = TABS.includes(wanted) ? wanted : "chat";
  close();
  for (const each of TABS) {
    byId(`tab-${each}`).setAttribute("aria-selected", each === name);
    byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    byId(`panel-${each}`).hidden = each !== name;
  }
  history.replaceState(null, "", `#${name}`);
}

/** Asks for the API key. Resolves to whether one was given. */
function askForKey(wasWrong) {
  const dialog = byId("key-dialog");
  const input = byId("key");
  const error = byId("key-error");
  error.textContent = wasWrong ? "That key was not accepted." : "";
  dialog.returnValue = "";
  const use = () => {
    // Other characters cannot stand in a header, so they cannot be in the key.
    if (/^[ -~]+$/.test(input.value)) dialog.close("use");
    else error.textContent = "A key has at least one character, and only those of ASCII.";
  };
  byId("key-use").onclick = use;
  byId("key-cancel").onclick = () => dialog.close();
  input.onkeydown = ({ key }) => key === "Enter" && use();
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      const given = dialog.returnValue === "use";
      if (given) keepKey(input.value);
      input.value = "";
      resolve(given);
    };
  });
}
