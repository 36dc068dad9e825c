// @ts-check
/**
 * When nobody can answer now: a notice above the composer that offers the contact form, and the form itself.
 * Nobody has to use it: the composer stays where it is, and is one press away while the form is open.
 */
import { FormRefused } from "./contact_request.js";
import { element, icon, set_text, text_button } from "./elements.js";
import { fill } from "./texts.js";

/** @typedef {import("./contact_request.js").Field} Field */
/** @typedef {import("./contact_request.js").Form} Form */
/** @typedef {import("./contact_request.js").Receipt} Receipt */
/** @typedef {import("./contact_request.js").Way} Way */
/** @typedef {import("./texts.js").Texts} Texts */

/**
 * @typedef {object} Owner
 * @property {(form: Form) => Promise<Receipt>} on_form  rejects with FormRefused
 * @property {(open: boolean) => void} on_toggle
 */

/** @typedef {{ box: HTMLElement, input: HTMLInputElement | HTMLTextAreaElement, error: HTMLElement }} Labelled */

/** @type {Way[]} */
const WAYS = ["email", "phone", "messenger"];
const NAME_MAX = "100";
const MESSENGERS = { telegram: "Telegram", whatsapp: "WhatsApp", viber: "Viber", signal: "Signal", instagram: "Instagram" };

export class ContactForm {
  notice;
  page;
  #texts;
  #owner;
  #hours;
  #within = element("p", { class: "hint" });
  #said = element("p", { role: "status", tabindex: "-1" });
  #leave;
  #text;
  #name;
  #ways;
  #messenger;
  #error = element("p", { class: "error", role: "alert" });
  #send;
  #busy = false;
  #offered = false;
  #sent = false;

  /**
   * @param {Texts} texts
   * @param {string} locale
   * @param {Owner} owner
   */
  constructor(texts, locale, owner) {
    this.#texts = texts;
    this.#owner = owner;
    this.#hours = new Intl.NumberFormat(locale, { style: "unit", unit: "hour", unitDisplay: "long" });
    this.#leave = text_button(texts.leave, { class: "leave" }, () => owner.on_toggle(true));
    this.notice = element("div", { class: "away", hidden: "" }, this.#said, this.#leave);
    this.#text = labelled("text", texts.form_text, element("textarea", { rows: "4", dir: "auto" }));
    this.#name = labelled("name", texts.form_name, line("text", "name"));
    this.#name.input.maxLength = Number(NAME_MAX);
    this.#ways = {
      email: labelled("email", texts.form_address, line("email", "email")),
      phone: labelled("phone", texts.form_number, line("tel", "tel")),
      messenger: labelled("messenger", texts.form_handle, line("text", "off")),
    };
    this.#messenger = element("select", { id: "form-which" }, ...options(texts));
    this.#send = element("button", { type: "submit", class: "primary" }, texts.form_send);
    this.page = this.#build();
    this.#choose("email");
  }

  get open() {
    return this.page.isConnected;
  }

  get words() {
    return this.#text.input.value;
  }

  /**
   * Offer the form, or no longer. What the visitor is told after sending it stays.
   * @param {number | null} hours  within which the shop answers; null: nothing to offer
   */
  offer(hours) {
    this.#offered = hours !== null;
    if (hours !== null && !this.#sent) {
      set_text(this.#said, this.#texts.away);
      set_text(this.#within, fill(this.#texts.form_within, { time: this.#hours.format(hours) }));
    }
    this.#review();
  }

  /**
   * The form has come to the page.
   * @param {string} words  what the visitor has already begun to write
   */
  begin(words) {
    this.#review();
    if (words !== "") this.#text.input.value = words;
    this.focus();
  }

  /** The form has left the page; what is in it stays in it. */
  end() {
    this.#review();
  }

  focus() {
    (this.words === "" ? this.#text : this.#ways[this.#way()]).input.focus();
  }

  /** @param {number} max_text */
  set_max_text(max_text) {
    this.#text.input.maxLength = max_text;
  }

  #review() {
    this.notice.hidden = this.open || !(this.#offered || this.#sent);
    this.#leave.hidden = this.#sent;
  }

  #build() {
    const back = element("button", { type: "button", class: "back" });
    back.append(icon("", "M15 5l-7 7 7 7"), this.#texts.form_back);
    back.addEventListener("click", () => this.#owner.on_toggle(false));
    const choices = WAYS.map((way) => this.#choice(way));
    const which = element("div", { class: "field" });
    which.append(element("label", { for: "form-which" }, this.#texts.form_which), this.#messenger);
    this.#ways.messenger.box.prepend(which);
    const form = element(
      "form",
      { class: "contact", novalidate: "", "aria-labelledby": "form-title" },
      back,
      element("h2", { id: "form-title" }, this.#texts.form_title),
      this.#within,
      this.#text.box,
      this.#name.box,
      element(
        "fieldset",
        {},
        element("legend", {}, this.#texts.form_way),
        element("div", { class: "ways" }, ...choices),
        ...WAYS.map((way) => this.#ways[way].box),
      ),
      this.#error,
      this.#send,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submit();
    });
    form.addEventListener("input", (event) => this.#calm(event.target));
    return form;
  }

  /** @param {Way} way */
  #choice(way) {
    const radio = element("input", { type: "radio", name: "way", value: way });
    radio.addEventListener("change", () => this.#choose(way));
    return element("label", { class: "way" }, radio, this.#texts[way]);
  }

  /** @returns {Way} */
  #way() {
    return WAYS.find((way) => !this.#ways[way].box.hidden) ?? "email";
  }

  /** @param {Way} chosen */
  #choose(chosen) {
    for (const way of WAYS) this.#ways[way].box.hidden = way !== chosen;
    const radio = this.page.querySelector(`input[value="${chosen}"]`);
    if (radio instanceof HTMLInputElement) radio.checked = true;
  }

  /** @returns {Form} */
  #form() {
    const way = this.#way();
    return {
      text: whole(this.words),
      name: whole(this.#name.input.value),
      way,
      address: whole(this.#ways[way].input.value),
      messenger: this.#messenger.value,
    };
  }

  async #submit() {
    if (this.#busy) return;
    const form = this.#form();
    /** @type {Field[]} */
    const missing = [...(form.text === "" ? ["text"] : []), ...(form.address === "" ? [form.way] : [])];
    if (missing.length > 0) return this.#complain(missing);
    this.#work(true);
    try {
      this.#thank(await this.#owner.on_form(form));
    } catch (error) {
      if (!(error instanceof FormRefused)) throw error;
      this.#complain(error.fields, error.busy ? this.#texts.form_busy : this.#texts.form_failed);
    } finally {
      this.#work(false);
    }
  }

  /** @param {boolean} busy */
  #work(busy) {
    this.#busy = busy;
    this.#send.setAttribute("aria-disabled", String(busy));
    set_text(this.#send, busy ? this.#texts.sending : this.#texts.form_send);
    if (busy) set_text(this.#error, "");
  }

  /** @param {Receipt} receipt */
  #thank({ expect, reference }) {
    this.#sent = true;
    for (const { input } of [this.#text, this.#name, ...Object.values(this.#ways)]) input.value = "";
    this.#owner.on_toggle(false);
    const told = reference === null ? "" : ` ${fill(this.#texts.form_reference, { reference })}`;
    set_text(this.#said, expect + told);
    this.#review();
    this.#said.focus({ preventScroll: true });
  }

  /**
   * Say at each field what is wrong with it, and go to the first.
   * @param {Field[]} fields
   * @param {string} otherwise  what to say if it is none of them
   */
  #complain(fields, otherwise = "") {
    const wrong = fields.map((field) => ({ place: this.#place(field), says: this.#wrong(field) }));
    for (const { place, says } of wrong) {
      place.input.setAttribute("aria-invalid", "true");
      set_text(place.error, says);
    }
    set_text(this.#error, wrong.length === 0 ? otherwise : "");
    wrong[0]?.place.input.focus();
  }

  /** @param {Field} field */
  #wrong(field) {
    return field === "text" && this.words.trim() !== "" ? this.#texts.too_long : this.#texts[`form_bad_${field}`];
  }

  /** @param {Field} field */
  #place(field) {
    return field === "text" ? this.#text : field === "name" ? this.#name : this.#ways[field];
  }

  /** @param {EventTarget | null} changed */
  #calm(changed) {
    for (const { input, error } of [this.#text, this.#name, ...Object.values(this.#ways)]) {
      if (input !== changed) continue;
      input.removeAttribute("aria-invalid");
      set_text(error, "");
    }
  }
}

/**
 * A field with its label and the place for what is wrong with it.
 * @template {HTMLInputElement | HTMLTextAreaElement} Input
 * @param {string} name
 * @param {string} label
 * @param {Input} input
 */
function labelled(name, label, input) {
  input.id = `form-${name}`;
  input.setAttribute("aria-describedby", `form-${name}-error`);
  const error = element("p", { class: "error", id: `form-${name}-error`, role: "alert" });
  return { box: element("div", { class: "field" }, element("label", { for: input.id }, label), input, error), input, error };
}

/**
 * @param {string} type
 * @param {string} autocomplete
 */
function line(type, autocomplete) {
  return element("input", { type, autocomplete, maxlength: "254", dir: "auto" });
}

/** @param {Texts} texts */
function options(texts) {
  const known = Object.entries(MESSENGERS).map(([value, label]) => element("option", { value }, label));
  return [...known, element("option", { value: "" }, texts.form_other)];
}

/** A lone half of a surrogate pair is no text to any server. @param {string} words */
function whole(words) {
  return words.replace(/\p{Surrogate}/gu, "\ufffd").trim();
}
