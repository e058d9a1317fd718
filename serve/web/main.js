// The page begins here.

import { keepKey, onTrouble } from "./api.js";
import { startChat } from "./chat.js";
import { addIcons, byId, icon } from "./dom.js";
import { startGrid } from "./grid.js";
import { redraw, startMeter } from "./meter.js";
import { close as closeAlternatives, startProbabilities } from "./probabilities.js";
import { startRecipe } from "./recipe.js";
import { startSampling } from "./sampling.js";
import { facts, look, onReady } from "./server.js";
import { startSidebar, touched } from "./sidebar.js";
import { read, write } from "./store.js";
import { refreshCard, startStrip } from "./strip.js";

const THEMES = ["system", "light", "dark"];
const ICON_OF = { system: "system", light: "sun", dark: "moon" };
const TABS = ["chat", "generate"];

addIcons();
startTheme();
startTabs();
startDialogs();
onTrouble({ askForKey, lost: () => look() });
startSampling();
startRecipe();
startProbabilities();
startMeter();
startChat(touched);
startGrid();
startSidebar();
startStrip();
onReady(() => {
  refreshCard();
  byId("tab-chat").hidden = !facts.chat;
  if (!facts.chat) select("generate");
});
look();
if (matchMedia("(hover: hover)").matches) byId("draft").focus(); // on a phone that would open its keyboard

function startTheme() {
  const element = byId("theme");
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    element.replaceChildren(icon(ICON_OF[theme]));
    element.setAttribute("aria-label", `Theme: ${theme}`);
    element.title = `Theme: ${theme}`;
    redraw();
  };
  const kept = read("theme", "system");
  set(THEMES.includes(kept) ? kept : "system");
  element.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    write("theme", next);
    set(next);
  });
}

function startTabs() {
  for (const name of TABS) {
    byId(`tab-${name}`).addEventListener("click", () => select(name));
  }
  byId("tabs").addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key) || !facts.chat) return;
    const other = byId("tab-chat").getAttribute("aria-selected") === "true" ? "generate" : "chat";
    select({ Home: "chat", End: "generate" }[event.key] ?? other);
    byId("tabs").querySelector("[aria-selected='true']").focus();
    event.preventDefault();
  });
  addEventListener("hashchange", () => select(location.hash.slice(1)));
  select(location.hash.slice(1));
}

function select(wanted) {
  const name = TABS.includes(wanted) ? wanted : TABS[0];
  closeAlternatives();
  for (const each of TABS) {
    byId(`tab-${each}`).setAttribute("aria-selected", each === name);
    byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    byId(`panel-${each}`).hidden = each !== name;
  }
  if (location.hash.slice(1) !== name) history.replaceState(null, "", `#${name}`);
}

function startDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
    // A press beside the dialog closes it, as people expect of a sheet.
    dialog.addEventListener("pointerdown", (event) => event.target === dialog && isBeside(dialog, event) && dialog.close());
  }
}

function isBeside(dialog, { clientX, clientY }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}

/** Asks for the API key. Resolves to whether one was given. */
function askForKey(wasWrong) {
  const dialog = byId("key-dialog");
  const input = byId("key");
  input.value = "";
  byId("key-error").textContent = wasWrong ? "That key was not accepted." : "";
  return new Promise((resolve) => {
    let given = false;
    const use = () => {
      // Only what can stand in a header: anything else cannot be the key.
      if (!/^[\x21-\x7e]+$/.test(input.value)) {
        byId("key-error").textContent = "A key has no spaces, and only letters, digits and signs of ASCII.";
        return;
      }
      keepKey(input.value);
      given = true;
      dialog.close();
    };
    const onKey = (event) => event.key === "Enter" && use();
    input.addEventListener("keydown", onKey);
    byId("key-use").onclick = use;
    byId("key-cancel").onclick = () => dialog.close();
    dialog.addEventListener("close", () => {
      input.removeEventListener("keydown", onKey);
      input.value = "";
      resolve(given);
    }, { once: true });
    dialog.showModal();
  });
}
