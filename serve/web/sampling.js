// The knobs of sampling, shared by both tabs, and kept in the browser.

import { byId, el } from "./dom.js";
import { read, write } from "./store.js";

const PRESETS = [
  { name: "Greedy", temperature: 0, about: "always the likeliest token" },
  { name: "Careful", temperature: 0.3, about: "rarely surprising" },
  { name: "Balanced", temperature: 0.5, about: "the server's own default" },
  { name: "Creative", temperature: 1, top_p: 0.95, about: "the model's own odds, without their tail" },
  { name: "Wild", temperature: 1.6, min_p: 0.05, about: "flattened odds" },
].map((preset) => ({ top_k: 0, top_p: 1, min_p: 0, ...preset }));
const SHAPING = ["temperature", "top_k", "top_p", "min_p"];

const FIELDS = [
  { name: "temperature", label: "Temperature", min: 0, max: 5, step: 0.05, slider: 2, about: "0 always takes the likeliest token; above 1 flattens the odds." },
  { name: "top_k", label: "Top-k", min: 0, max: 1_000_000, step: 1, slider: 100, about: "Keeps only the k likeliest tokens; 0 keeps all." },
  { name: "top_p", label: "Top-p", min: 0.01, max: 1, step: 0.01, slider: 1, about: "Keeps the likeliest tokens that together reach this probability." },
  { name: "min_p", label: "Min-p", min: 0, max: 1, step: 0.01, slider: 1, about: "Drops tokens with less than this share of the likeliest one's probability." },
  { name: "max_tokens", label: "Max tokens", min: 1, max: 1_000_000, step: 1, optional: true, about: "The longest reply; empty for as long as the context has room." },
  { name: "seed", label: "Seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, about: "The same seed and settings give the same reply." },
];

const settings = { ...PRESETS[2], max_tokens: null, seed: 42, locked: false };
const inputs = new Map();
const listeners = [];

/** Builds the fields and takes over what was kept. */
export function startSampling() {
  const kept = read("sampling", {});
  for (const field of FIELDS) if (isLegal(field, kept[field.name])) settings[field.name] = kept[field.name];
  settings.locked = kept.locked === true;
  byId("sampling-fields").append(presets(), ...FIELDS.map(row), lock());
  refresh();
  for (const opener of document.querySelectorAll(".open-sampling")) {
    opener.addEventListener("click", () => byId("sampling").showModal());
  }
}

export const onSampling = (listener) => listeners.push(listener);

/** sampling_params for one request of at most `room` tokens. A seed that is not locked changes after each use. */
export function nextParams(room) {
  if (!settings.locked) settings.seed = crypto.getRandomValues(new Uint32Array(1))[0];
  changed();
  const { temperature, top_k, top_p, min_p, max_tokens, seed } = settings;
  const max_new_tokens = max_tokens === null ? room : Math.min(max_tokens, room);
  return { temperature, top_k: top_k || -1, top_p, min_p, max_new_tokens, sampling_seed: seed };
}

export const isLocked = () => settings.locked;
export const budget = () => settings.max_tokens;

function presets() {
  const choices = PRESETS.map((preset) => {
    const input = el("input", { type: "radio", name: "preset", value: preset.name, onchange: () => choose(preset) });
    inputs.set(preset.name, input);
    return el("label", { class: "preset", title: preset.about }, input, el("span", {}, preset.name));
  });
  return el("fieldset", { id: "presets" }, el("legend", {}, "Preset"), ...choices);
}

function choose(preset) {
  for (const name of SHAPING) settings[name] = preset[name];
  changed();
}

function row(field) {
  const { name, label, min, max, step, slider, about, optional } = field;
  const set = (text) => {
    const value = optional && text === "" ? null : Number(text);
    const legal = isLegal(field, value) && (optional || text !== "");
    number.setAttribute("aria-invalid", !legal);
    if (!legal) return;
    settings[name] = value;
    changed();
  };
  const number = el("input", {
    type: "number", id: `sampling-${name}`, min, max, step: slider ? step : 1, "aria-describedby": `about-${name}`,
    inputmode: step < 1 ? "decimal" : "numeric", placeholder: optional ? "as many as fit" : null,
    oninput: () => set(number.value), onblur: refresh,
  });
  inputs.set(name, number);
  const parts = [el("label", { for: number.id }, label), number];
  if (slider) {
    // The number beside it says and does the same, so the keyboard and screen readers need only that one.
    const range = el("input", { type: "range", min: Math.min(min, slider), max: slider, step, tabindex: -1, "aria-hidden": "true", oninput: () => set(range.value) });
    inputs.set(`${name}-range`, range);
    parts.push(range);
  }
  return el("div", { class: "field" }, ...parts, el("p", { id: `about-${name}`, class: "small" }, about));
}

function lock() {
  const box = el("input", { type: "checkbox", id: "lock-seed", onchange: () => ((settings.locked = box.checked), changed()) });
  inputs.set("locked", box);
  return el("label", { class: "check" }, box, el("span", {}, "Lock seed"), el("span", { class: "small" }, "else each reply gets a fresh one"));
}

function isLegal({ min, max, step, optional }, value) {
  if (value === null) return Boolean(optional);
  return Number.isFinite(value) && value >= min && value <= max && (step < 1 || Number.isInteger(value));
}

function changed() {
  const { temperature, top_k, top_p, min_p, max_tokens, seed, locked } = settings;
  write("sampling", { temperature, top_k, top_p, min_p, max_tokens, seed, locked });
  refresh();
  for (const listener of listeners) listener();
}

/** Brings all fields in line with `settings`, but for the text that is being typed. */
function refresh() {
  for (const { name } of FIELDS) {
    const value = settings[name] ?? "";
    const input = inputs.get(name);
    if (document.activeElement !== input) {
      input.value = value;
      input.removeAttribute("aria-invalid");
    }
    const range = inputs.get(`${name}-range`);
    if (range) range.value = value;
  }
  inputs.get("locked").checked = settings.locked;
  const match = PRESETS.find((preset) => SHAPING.every((name) => preset[name] === settings[name]));
  for (const preset of PRESETS) inputs.get(preset.name).checked = preset === match;
  const what = match ? match.name : `T ${settings.temperature}`;
  for (const opener of document.querySelectorAll(".open-sampling")) opener.textContent = `Sampling: ${what}`;
}
