// The knobs of sampling, shared by both tabs, and kept in the browser.

import { byId, el } from "./dom.js";
import { read, write } from "./store.js";

const SHAPING = ["temperature", "top_k", "top_p", "min_p"];
const PRESETS = [
  { name: "Greedy", temperature: 0 },
  { name: "Careful", temperature: 0.3 },
  { name: "Balanced", temperature: 0.5 }, // as /microgpt/v1/chat has it by default
  { name: "Creative", temperature: 1, top_p: 0.95 },
  { name: "Wild", temperature: 1.6, min_p: 0.05 },
].map((preset) => ({ top_k: 0, top_p: 1, min_p: 0, ...preset }));

// slider: how far it goes; the number beside it goes to max.
const FIELDS = [
  { name: "temperature", label: "Temperature", min: 0, max: 100, step: 0.05, slider: 2, about: "0 always takes the likeliest token; above 1, odds even out." },
  { name: "top_k", label: "Top-k", min: 0, max: 1e6, step: 1, slider: 100, about: "Only the k likeliest tokens; 0 is all." },
  { name: "top_p", label: "Top-p", min: 0.01, max: 1, step: 0.01, slider: 1, about: "Only the likeliest tokens that together reach this." },
  { name: "min_p", label: "Min-p", min: 0, max: 1, step: 0.01, slider: 1, about: "Only tokens with this share of the likeliest one's probability." },
  { name: "max_tokens", label: "Max tokens", min: 1, max: 1e6, step: 1, isOptional: true, about: "Empty: for as long as the context has room." },
  { name: "seed", label: "Seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, about: "The same seed and settings give the same reply." },
];

const settings = { ...PRESETS[2], max_tokens: null, seed: 42, locked: false };
const inputs = {};

/** Builds the fields and takes over what was kept. */
export function startSampling() {
  const kept = read("sampling", {});
  for (const field of FIELDS) if (isLegal(field, kept[field.name])) settings[field.name] = kept[field.name];
  settings.locked = kept.locked === true;
  byId("sampling").append(presets(), ...FIELDS.map(row), lock());
  refresh();
  for (const opener of document.querySelectorAll(".open-sampling")) opener.addEventListener("click", () => byId("sampling").showModal());
}

/**
 * sampling_params of at most `room` tokens, `given` of them there already. A seed that is not locked is drawn anew; a
 * locked one counts up by `version`, or the same reply would come again.
 */
export function nextParams(room, { given = 0, version = 0 } = {}) {
  if (!settings.locked) settings.seed = crypto.getRandomValues(new Uint32Array(1))[0];
  changed();
  const { temperature, top_k, top_p, min_p, seed, locked } = settings;
  return { temperature, top_k: top_k || -1, top_p, min_p, max_new_tokens: limit(room, given), sampling_seed: seed + (locked ? version : 0) };
}

/** The most tokens that a reply may have, `given` of them there already. */
export const limit = (room, given) => Math.min(room, given + (settings.max_tokens ?? room));

function presets() {
  const choices = PRESETS.map((preset) => {
    const choose = () => {
      for (const name of SHAPING) settings[name] = preset[name];
      changed();
    };
    inputs[preset.name] = el("input", { type: "radio", name: "preset", onchange: choose });
    return el("label", { class: "preset" }, inputs[preset.name], el("span", {}, preset.name));
  });
  return el("fieldset", { id: "presets", class: "row" }, el("legend", { class: "unseen" }, "Preset"), ...choices);
}

function row(field) {
  const { name, label, min, max, step, slider, about, isOptional } = field;
  const take = ({ target }) => {
    const value = target.value === "" ? null : Number(target.value);
    const isGood = isLegal(field, value);
    target.setAttribute("aria-invalid", !isGood);
    help.textContent = isGood ? about : `Not used: it must be from ${min} to ${max}.`;
    if (!isGood) return;
    settings[name] = value;
    changed();
  };
  const id = `sampling-${name}`;
  const number = el("input", {
    type: "number", id, min, max, step, "aria-describedby": `about-${name}`, placeholder: isOptional && "no limit", oninput: take,
  });
  // The number says and does the same, so the keyboard and screen readers need only that one.
  const range = slider && el("input", { type: "range", min, max: slider, step, tabindex: -1, "aria-hidden": true, oninput: take });
  const help = el("p", { id: `about-${name}`, class: "small" }, about);
  inputs[name] = [number, range];
  return el("div", { class: "field" }, el("label", { for: id }, label), number, range, help);
}

function lock() {
  inputs.locked = el("input", { type: "checkbox", onchange: ({ target }) => ((settings.locked = target.checked), changed()) });
  return el("label", { class: "row" }, inputs.locked, "Lock seed", el("span", { class: "small" }, "else each reply gets a fresh one"));
}

function isLegal({ min, max, step, isOptional }, value) {
  if (value === null) return Boolean(isOptional);
  return Number.isFinite(value) && value >= min && value <= max && (step < 1 || Number.isInteger(value));
}

function changed() {
  const { name, ...kept } = settings;
  write("sampling", kept);
  refresh();
}

/** Brings all fields in line with `settings`, but for those in use, or with a value that cannot be used. */
function refresh() {
  for (const { name } of FIELDS) {
    for (const input of inputs[name]) {
      if (input && input !== document.activeElement && input.ariaInvalid !== "true") input.value = settings[name] ?? "";
    }
  }
  inputs.locked.checked = settings.locked;
  const match = PRESETS.find((preset) => SHAPING.every((name) => preset[name] === settings[name]));
  for (const preset of PRESETS) inputs[preset.name].checked = preset === match;
  for (const opener of document.querySelectorAll(".open-sampling")) opener.textContent = `Sampling: ${match?.name ?? `T ${settings.temperature}`}`;
}
