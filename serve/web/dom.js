// Building the page. Whatever people or models wrote gets in as text nodes and attributes, never as markup.

import { read, write } from "./store.js";

const SVG = "http://www.w3.org/2000/svg";
const CONFIRM_MS = 2000;

// Drawn in a box of 20 by 20 with round strokes.
const ICONS = {
  menu: "M3 6h14M3 10h14M3 14h14",
  plus: "M10 4v12M4 10h12",
  close: "M5 5l10 10M15 5L5 15",
  download: "M10 3v10M6 9l4 4 4-4M4 17h12",
  upload: "M10 13V3M6 7l4-4 4 4M4 17h12",
  copy: "M7 7h9v10H7zM13 7V3H4v10h3",
  edit: "M4 16l1-4 8-8 3 3-8 8zM11 6l3 3",
  redo: "M16 10a6 6 0 1 1-2-4.5M16 3v4h-4",
  more: "M4 10h11M10 5l5 5-5 5",
  replay: "M4 10a6 6 0 1 0 2-4.5M4 3v4h4M10 7v4l3 2",
  code: "M7 5l-5 5 5 5M13 5l5 5-5 5",
  left: "M12 5l-5 5 5 5",
  right: "M8 5l5 5-5 5",
  trash: "M4 6h12M8 6V3h4v3M6 6l1 11h6l1-11",
  send: "M10 16V4M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  light: "M10 6a4 4 0 1 1 0 8 4 4 0 0 1 0-8M10 1v2M10 17v2M1 10h2M17 10h2",
  dark: "M16 12A7 7 0 0 1 8 4a7 7 0 1 0 8 8z",
  system: "M3 4h14v9H3zM7 17h6M10 13v4",
};

/** A new element. Properties that begin with "on" are listeners; those that are false or null are left out. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);
export const onClick = (id, listener) => byId(id).addEventListener("click", listener);

/** Calls back for Escape, unless that closes a dialog. */
export const onEscape = (listener) =>
  document.addEventListener("keydown", ({ key }) => key === "Escape" && !document.querySelector("dialog[open]") && listener());

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({ viewBox: "0 0 20 20", "aria-hidden": true, class: "icon" })) svg.setAttribute(key, value);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function button(iconName, label, onclick, properties = {}) {
  return el("button", { class: "quiet", onclick, ...properties }, icon(iconName), label);
}

/** A button that shows its icon alone; its label is told to those who point at it or cannot see it. */
export function iconButton(iconName, label, onclick, { class: more = "" } = {}) {
  return button(iconName, null, onclick, { class: `quiet icon-only ${more}`, "aria-label": label, title: label });
}

/** A button of the page that is on or off, and stays so in this browser. Returns whether it is on now. */
export function toggle(id, apply) {
  const element = byId(id);
  const set = (on) => element.setAttribute("aria-pressed", on);
  const isOn = () => element.getAttribute("aria-pressed") === "true";
  set(read(id, false) === true);
  element.addEventListener("click", () => {
    set(!isOn());
    write(id, isOn());
    apply();
  });
  return isOn;
}

/** Said once to screen readers, when they have finished speaking. */
export const announce = (text) => (byId("announcer").textContent = text);

/** Copies `text` and says so in `element`, the button that asked. */
export async function copyText(text, element) {
  const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  const said = done ? "Copied" : "The browser did not allow it";
  announce(said);
  element.dataset.said = done ? "✓" : "✕";
  setTimeout(() => delete element.dataset.said, CONFIRM_MS);
}

export function perFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

export const count = (value) => Math.round(value).toLocaleString("en");
export const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
