// The turns of the transcript as elements.

import { copyText, el, button, iconButton } from "./dom.js";
import { ReplyView } from "./reply.js";

/** One turn. onMove(step): another version of it is wanted. */
class Turn {
  constructor(role, name, onMove) {
    this.versions = el("span", { class: "versions" });
    this.note = el("p", { class: "note small" });
    this.fit = el("p", { class: "fit small" });
    this.element = el("article", { class: `turn ${role}`, tabindex: -1, "aria-label": name });
    this.previous = iconButton("left", "Previous version", () => onMove(-1));
    this.next = iconButton("right", "Next version", () => onMove(1));
  }

  /** < 2/3 >: which version is shown, if there are several. note: what else is to be known of it. */
  showVersion(at, of, note) {
    this.note.textContent = note;
    // Not `disabled`, which would drop the focus of whoever steps through with the keyboard.
    this.previous.setAttribute("aria-disabled", at === 0);
    this.next.setAttribute("aria-disabled", at === of - 1);
    const parts = [this.previous, el("span", { class: "position" }, `${at + 1}/${of}`), this.next];
    this.versions.replaceChildren(...(of > 1 ? parts : []));
  }

  /** isUnfit: the model will not see this turn any more. isLast: of those. */
  showFit(isUnfit, isLast) {
    this.element.classList.toggle("unfit", isUnfit);
    this.fit.classList.toggle("unseen", !isLast);
    this.fit.textContent = isUnfit ? "The model no longer sees what is above this line." : "";
  }
}

/** What the reader said. onEdit(text): send this instead, as another version. */
export class UserTurn extends Turn {
  constructor(text, onMove, onEdit) {
    super("user", "You", onMove);
    this.content = text;
    this.text = el("div", { class: "user-text", dir: "auto" }, text);
    this.edit = iconButton("edit", "Edit", () => this.startEdit(onEdit), { class: "starts" });
    const copy = iconButton("copy", "Copy", () => copyText(text, copy));
    this.actions = el("div", { class: "actions" }, this.versions, this.edit, copy);
    this.element.append(this.text, this.note, this.actions, this.fit);
  }

  startEdit(onEdit) {
    const area = el("textarea", { "aria-label": "Edit message", maxlength: 200000, rows: 3, dir: "auto" });
    const end = () => {
      form.replaceWith(this.text);
      this.actions.hidden = false;
      this.edit.focus();
    };
    const send = () => {
      if (!area.value.trim()) return;
      end();
      onEdit(area.value);
    };
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") end();
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      send();
    });
    const form = el("div", { class: "edit" }, area, el("div", { class: "row" },
      el("button", { onclick: end }, "Cancel"), el("button", { type: "button", class: "primary", onclick: send }, "Send edited")));
    this.text.replaceWith(form);
    this.actions.hidden = true;
    area.value = this.content;
    area.focus();
  }
}

export class AssistantTurn extends Turn {
  constructor(onMove, { onRegenerate, onContinue, onChoose }) {
    super("assistant", "Reply", onMove);
    this.continue = button("more", "Continue", onContinue, { class: "quiet starts" });
    this.view = new ReplyView(onChoose, [button("redo", "Regenerate", onRegenerate, { class: "quiet starts" }), this.continue]);
    this.view.actions.append(this.versions); // last, so that the buttons stay where they were
    this.element.append(...this.view.parts, this.note, this.fit);
  }
}
