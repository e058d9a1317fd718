// The turns of the transcript as elements.

import { button, copyText, el } from "./dom.js";
import { ReplyView } from "./reply.js";

/** < 2/3 >: which of the versions of a turn is shown; hidden where there is but one. */
class Switch {
  constructor(onMove) {
    this.previous = button("left", "Previous version", () => onMove(-1), { shown: "" });
    this.position = el("span", { class: "position" });
    this.next = button("right", "Next version", () => onMove(1), { shown: "" });
    this.element = el("span", { class: "versions" }, this.previous, this.position, this.next);
  }

  update(at, of) {
    this.element.hidden = of < 2;
    this.position.textContent = `${at + 1}/${of}`;
    // Not `disabled`, which would drop the focus of whoever steps through with the keyboard.
    this.previous.setAttribute("aria-disabled", at === 0);
    this.next.setAttribute("aria-disabled", at === of - 1);
  }
}

/** What the reader said. onEdit(text): send this instead, as another version. */
export class UserTurn {
  constructor(text, { onEdit, onMove }) {
    this.switch = new Switch(onMove);
    this.text = el("div", { class: "user-text", dir: "auto" }, text);
    this.fit = el("p", { class: "fit small" });
    const copy = button("copy", "Copy", () => copyText(text, copy), { shown: "" });
    this.edit = button("edit", "Edit", () => this.startEdit(text, onEdit), { shown: "", class: "quiet icon-only starts" });
    this.actions = el("div", { class: "actions" }, this.switch.element, this.edit, copy);
    this.element = el("article", { class: "turn user", "aria-label": "You", tabindex: -1 }, this.text, this.fit, this.actions);
  }

  startEdit(text, onEdit) {
    const area = el("textarea", { "aria-label": "Edit message", maxlength: 200000, rows: 3, dir: "auto" });
    const stop = () => {
      form.replaceWith(this.text);
      this.actions.hidden = false;
      this.edit.focus();
    };
    const go = () => {
      if (!area.value.trim()) return;
      form.replaceWith(this.text);
      this.actions.hidden = false;
      onEdit(area.value);
    };
    area.value = text;
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        go();
      } else if (event.key === "Escape") {
        event.stopPropagation();
        stop();
      }
    });
    const form = el("div", { class: "edit" }, area, el("div", { class: "row end" },
      el("button", { type: "button", onclick: stop }, "Cancel"),
      el("button", { type: "button", class: "primary", onclick: go }, "Send edited")));
    this.text.replaceWith(form);
    this.actions.hidden = true;
    area.focus();
  }
}

/** What the model said. */
export class AssistantTurn {
  constructor({ onRegenerate, onContinue, onChoose, onMove }) {
    this.switch = new Switch(onMove);
    this.regenerate = button("redo", "Regenerate", onRegenerate, { class: "quiet starts" });
    this.continue = button("more", "Continue", onContinue, { class: "quiet starts" });
    this.view = new ReplyView({ actions: [this.regenerate, this.continue], onChoose });
    this.view.actions.prepend(this.switch.element);
    this.fit = el("p", { class: "fit small" });
    this.element = el("article", { class: "turn assistant", "aria-label": "Reply", tabindex: -1 }, this.fit, ...this.view.parts);
  }
}
