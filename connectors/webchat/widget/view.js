// @ts-check
/** The panel on the screen. It shows what it is told and reports what the visitor does; it decides nothing. */
import { Bubble } from "./bubble.js";
import { Composer } from "./composer.js";
import { ContactForm } from "./contact.js";
import { element, icon, set_text, text_button } from "./elements.js";
import { linkify } from "./linkify.js";
import { fill } from "./texts.js";

/** @typedef {import("./contact_request.js").Form} Form */
/** @typedef {import("./contact_request.js").Receipt} Receipt */
/** @typedef {import("./texts.js").Texts} Texts */
/** @typedef {import("./thread.js").Row} Row */

/**
 * @typedef {object} Owner
 * @property {(words: string) => void} on_write
 * @property {(draft: string) => void} on_draft
 * @property {() => void} on_close
 * @property {(cmid: string) => void} on_try_again
 * @property {(cmid: string) => void} on_remove
 * @property {(form: Form) => Promise<Receipt>} on_form
 */

const NEAR_END_PX = 60; // closer than this the visitor is following the thread: keep him at its end
const RUN_MS = 10 * 60_000; // lines of one author within this time stand together

export class View {
  composer;
  contact;
  log;
  #texts;
  #manner;
  #day;
  #dialog;
  #title;
  #list = element("ol");
  #greeting = element("li", { class: "greeting", hidden: "" });
  #below;
  #typing = element("p", { class: "typing", hidden: "" });
  #state = element("p", { class: "state", role: "status" });
  #newer;
  /** @type {Map<string, Bubble>} */
  #bubbles = new Map();
  /** @type {Map<string, HTMLLIElement>} */
  #days = new Map();
  /** @type {Row | null} */
  #last = null;
  #following = true;
  #scrolled_to = 0;

  /**
   * @param {Texts} texts
   * @param {string} locale
   * @param {string} draft
   * @param {Owner} owner
   */
  constructor(texts, locale, draft, owner) {
    this.#texts = texts;
    this.#day = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" });
    this.#manner = {
      texts,
      time: new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" }),
      moment: new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" }),
      on_try_again: owner.on_try_again,
      on_remove: owner.on_remove,
    };
    this.composer = new Composer(texts, draft, owner);
    this.contact = new ContactForm(texts, locale, {
      on_form: owner.on_form,
      on_toggle: (open) => this.#show_form(open),
    });
    this.#title = element("h1", { id: "title", dir: "auto" }, texts.chat);
    const close = element("button", { type: "button", class: "close", "aria-label": texts.close });
    close.append(icon("", "M6 6l12 12M18 6L6 18"));
    close.addEventListener("click", owner.on_close);
    this.#list.append(this.#greeting);
    this.log = element("div", { class: "log", role: "log", "aria-label": texts.log, tabindex: "0" }, this.#list);
    this.log.setAttribute("aria-live", "off"); // the history is not news
    this.log.setAttribute("aria-relevant", "additions");
    this.#newer = text_button(texts.newer, { class: "newer", hidden: "" }, () => {
      this.log.focus({ preventScroll: true });
      this.#to_end();
    });
    this.#below = element("div", { class: "below" }, this.#newer, this.#typing);
    this.#dialog = element(
      "div",
      { class: "panel", role: "dialog", "aria-labelledby": "title", tabindex: "-1" },
      element("header", {}, this.#title, close),
      this.#state,
      this.log,
      this.#below,
      this.contact.notice,
      this.composer.form,
    );
    this.log.addEventListener("scroll", () => this.#scroll());
    const sizes = new ResizeObserver(() => this.#following && this.#to_end());
    sizes.observe(this.log);
    sizes.observe(this.#list);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) owner.on_close();
    });
  }

  mount() {
    document.body.append(this.#dialog);
    this.composer.resize();
  }

  /** The history is here; from now on new lines are announced. */
  go_live() {
    this.log.setAttribute("aria-live", "polite");
  }

  /** @param {string} title */
  set_title(title) {
    set_text(this.#title, title);
  }

  /** @param {string} greeting */
  set_greeting(greeting) {
    if (this.#greeting.textContent === greeting) return;
    const words = element("p", { class: "words", dir: "auto" }, ...linkify(greeting));
    this.#greeting.replaceChildren(element("div", { class: "bubble" }, words));
    this.#greeting.hidden = false;
  }

  /**
   * @param {string} words  empty: all is well
   * @param {HTMLElement[]} actions
   */
  set_state(words, ...actions) {
    set_text(this.#state, words);
    this.#state.append(...actions);
  }

  /** @param {string | null} name  null: nobody is typing */
  set_typing(name) {
    set_text(this.#typing, name === null ? "" : fill(this.#texts.typing, { name: name || this.#texts.shop }));
    this.#typing.hidden = name === null;
  }

  /** @param {string | null} first_unread  message to bring into view; null: the end of the thread */
  reveal(first_unread) {
    this.composer.resize();
    this.#to_end();
    const bubble = first_unread === null ? undefined : this.#bubbles.get(first_unread);
    bubble?.item.scrollIntoView({ block: "start" });
  }

  /**
   * The form takes the place of thread and composer; what was begun in one goes on in the other.
   * @param {boolean} open
   */
  #show_form(open) {
    for (const part of [this.log, this.#below, this.composer.form]) part.hidden = open;
    if (open) {
      this.#dialog.append(this.contact.page);
      return this.contact.begin(this.composer.draft);
    }
    this.contact.page.remove();
    this.contact.end();
    this.composer.set_draft(this.contact.words);
    this.composer.focus();
    if (this.#following) this.#to_end();
  }

  // A finger that opened the panel would be met by a keyboard over half of it.
  focus() {
    if (this.contact.open) this.contact.focus();
    else if (matchMedia("(pointer: coarse)").matches) this.#dialog.focus({ preventScroll: true });
    else this.composer.focus();
  }

  /**
   * Bubbles of these messages.
   * @param {Iterable<string>} ids
   * @returns {Map<Element, string>}
   */
  bubbles(ids) {
    /** @type {Map<Element, string>} */
    const found = new Map();
    for (const id of ids) {
      const bubble = this.#bubbles.get(id);
      if (bubble) found.set(bubble.item, id);
    }
    return found;
  }

  /** @param {Row[]} rows */
  render(rows) {
    const newest_read = rows.findLast((row) => row.status === "read");
    const before = this.#bubbles.size === 0 ? null : (this.#last?.key ?? null);
    /** @type {HTMLLIElement[]} */
    const items = [this.#greeting];
    /** @type {Set<string>} */
    const kept = new Set();
    /** @type {Row | null} */
    let previous = null;
    for (const row of rows) {
      const day = day_of(row);
      if (day !== "" && (previous === null || day !== day_of(previous))) {
        items.push(this.#day_item(row));
        kept.add(`day:${row.key}`);
      }
      const bubble = this.#bubbles.get(row.key) ?? new Bubble(this.#manner);
      bubble.show(row, { first: !continues(row, previous), newest_read: row === newest_read });
      this.#bubbles.set(row.key, bubble);
      kept.add(row.key);
      items.push(bubble.item);
      previous = row;
    }
    for (const key of this.#bubbles.keys()) if (!kept.has(key)) this.#bubbles.delete(key);
    for (const key of this.#days.keys()) if (!kept.has(key)) this.#days.delete(key);
    arrange(this.#list, items);
    this.#last = previous;
    const added = previous !== null && previous.key !== before;
    if (added && previous?.mine) this.#to_end(); // one's own line is always in view
    else if (this.#following) this.#to_end();
    else if (added && before !== null) this.#newer.hidden = false;
  }

  /** @param {Row} row  the first of its day */
  #day_item(row) {
    const item = this.#days.get(`day:${row.key}`) ?? element("li", { class: "day" });
    set_text(item, this.#day.format(new Date(row.created_at)));
    this.#days.set(`day:${row.key}`, item);
    return item;
  }

  #scroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const at_end = scrollHeight - clientHeight - scrollTop < NEAR_END_PX;
    // Growing content moves the end away without a scroll upwards: that does not stop us from following.
    if (at_end) this.#following = true;
    else if (scrollTop < this.#scrolled_to) this.#following = false;
    this.#scrolled_to = scrollTop;
    if (at_end) this.#newer.hidden = true;
  }

  #to_end() {
    this.#following = true;
    this.#newer.hidden = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.#scrolled_to = this.log.scrollTop;
  }
}

/**
 * Put the items in this order, moving as few as possible: a moved node is announced again.
 * @param {HTMLElement} list
 * @param {HTMLElement[]} items
 */
function arrange(list, items) {
  const wanted = new Set(items);
  for (const child of [...list.children]) if (!wanted.has(/** @type {HTMLElement} */ (child))) child.remove();
  items.forEach((item, index) => {
    const present = list.children[index] ?? null;
    if (present !== item) list.insertBefore(item, present);
  });
}

/** @param {Row} row */
function day_of(row) {
  const moment = new Date(row.created_at);
  return Number.isNaN(moment.getTime()) ? "" : moment.toDateString();
}

/**
 * @param {Row} row
 * @param {Row | null} previous
 */
function continues(row, previous) {
  return (
    previous !== null &&
    previous.mine === row.mine &&
    (row.mine || (previous.author.type === row.author.type && previous.author.name === row.author.name)) &&
    day_of(previous) === day_of(row) &&
    new Date(row.created_at).getTime() - new Date(previous.created_at).getTime() < RUN_MS
  );
}
