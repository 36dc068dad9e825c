// @ts-check
/** Where the visitor writes. Enter sends, Shift+Enter breaks the line, an unfinished IME composition does neither. */
import { element, icon, set_text } from "./elements.js";
import { fill } from "./texts.js";

/** @typedef {import("./texts.js").Texts} Texts */

/**
 * @typedef {object} Owner
 * @property {(words: string) => void} on_write
 * @property {(draft: string) => void} on_draft
 */

const WARN_SHARE = 0.9; // of the limit: from here on the visitor sees how much is left
const IME_KEY_CODE = 229; // Safari ends the composition before the keydown that ended it
const MAX_HEIGHT_PX = 140;

export class Composer {
  form;
  #texts;
  #owner;
  #field;
  #send;
  #count = element("p", { class: "count", id: "count" });
  #max_text = 4000;

  /**
   * @param {Texts} texts
   * @param {string} draft
   * @param {Owner} owner
   */
  constructor(texts, draft, owner) {
    this.#texts = texts;
    this.#owner = owner;
    this.#field = element("textarea", {
      rows: "1",
      "aria-label": texts.label,
      "aria-describedby": "count", // not a live region: it would speak at every key
      placeholder: texts.placeholder,
      enterkeyhint: "send",
      autocomplete: "off",
      dir: "auto",
    });
    this.#send = element("button", { type: "submit", class: "send", "aria-label": texts.send });
    this.#send.append(icon("", "M4.5 11.5 20 4l-4 16.5-4.5-6.5z", "M11.5 14 20 4"));
    this.form = element("form", { class: "composer" }, this.#count, this.#field, this.#send);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener("keydown", (event) => this.#press(event));
    this.#field.addEventListener("input", () => {
      this.#owner.on_draft(this.#field.value);
      this.#review();
    });
    this.#field.value = draft;
    this.#review();
  }

  focus() {
    this.#field.focus({ preventScroll: true });
  }

  get draft() {
    return this.#field.value;
  }

  /** @param {string} draft */
  set_draft(draft) {
    this.#field.value = draft;
    this.#owner.on_draft(draft);
    this.#review();
  }

  /** @param {number} max_text  code points */
  set_max_text(max_text) {
    this.#max_text = max_text;
    this.#review();
  }

  disable() {
    this.#field.disabled = true;
    this.#send.disabled = true;
  }

  /** The panel is on the screen: only now has the text a height. */
  resize() {
    const { style } = this.#field;
    style.height = "auto";
    const borders = this.#field.offsetHeight - this.#field.clientHeight;
    style.height = `${Math.min(this.#field.scrollHeight + borders, MAX_HEIGHT_PX)}px`;
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === IME_KEY_CODE) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const words = this.#words();
    if (words === "" || code_points(words) > this.#max_text || this.#field.disabled) return;
    this.#field.value = "";
    this.#owner.on_draft("");
    this.#review();
    this.focus();
    this.#owner.on_write(words);
  }

  /** A lone half of a surrogate pair is no text to any server. */
  #words() {
    return this.#field.value.replace(/\p{Surrogate}/gu, "\ufffd").trim();
  }

  #review() {
    const words = this.#words();
    const left = this.#max_text - code_points(words);
    const tight = left < this.#max_text * (1 - WARN_SHARE);
    const template = left < 0 ? this.#texts.over : this.#texts.left;
    set_text(this.#count, tight ? fill(template, { count: Math.abs(left) }) : "");
    this.#count.classList.toggle("over", left < 0);
    this.#field.setAttribute("aria-invalid", String(left < 0));
    this.#send.disabled = words === "" || left < 0 || this.#field.disabled;
    this.resize();
  }
}

/** @param {string} words */
function code_points(words) {
  return [...words].length;
}
