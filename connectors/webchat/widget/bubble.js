// @ts-check
/** One row of the thread: what was said, by whom, when, and how far it has come. */
import { element, icon, set_text, text_button } from "./elements.js";
import { linkify } from "./linkify.js";

/** @typedef {import("./texts.js").Texts} Texts */
/** @typedef {import("./thread.js").Row} Row */
/** @typedef {import("./thread.js").Progress} Progress */

/**
 * @typedef {object} Manner  how rows are worded
 * @property {Texts} texts
 * @property {Intl.DateTimeFormat} time
 * @property {Intl.DateTimeFormat} moment
 * @property {(cmid: string) => void} on_try_again
 * @property {(cmid: string) => void} on_remove
 */

/**
 * @typedef {object} Place  where the row stands among its neighbours
 * @property {boolean} first  of a run of one author's lines
 * @property {boolean} newest_read  the last line the shop has read: says so in words
 */

const TICK = "M4.5 12.5l5 5L19.5 7";
/** @type {Record<Progress, string[]>} */
const PICTURES = {
  sending: ["M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z", "M12 8v4.5l3 1.5"],
  sent: [TICK],
  delivered: ["M1.5 12.5l5 5L16.5 7", "M12 16l1.5 1.5L22.5 7"],
  read: ["M1.5 12.5l5 5L16.5 7", "M12 16l1.5 1.5L22.5 7"],
  failed: ["M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z", "M12 8v5", "M12 16h.01"],
};

export class Bubble {
  item = element("li");
  #manner;
  #name = element("p", { class: "name" });
  #words = element("p", { class: "words", dir: "auto" });
  #edited = element("span", { class: "edited" });
  #time = element("time");
  #said = element("span", { class: "said" });
  #progress = element("span", { class: "progress" }, this.#said);
  /** @type {HTMLElement | null} */
  #failure = null;
  #shown = "";

  /** @param {Manner} manner */
  constructor(manner) {
    this.#manner = manner;
    const meta = element("p", { class: "meta" }, this.#edited, this.#time, this.#progress);
    this.item.append(this.#name, element("div", { class: "bubble" }, this.#words, meta));
  }

  /**
   * @param {Row} row
   * @param {Place} place
   */
  show(row, place) {
    const wanted = JSON.stringify([row, place]);
    if (wanted === this.#shown) return;
    const known = this.#shown === "" ? null : /** @type {[Row, Place]} */ (JSON.parse(this.#shown))[0];
    this.#shown = wanted;
    this.#mark(row, place);
    set_text(this.#name, this.#author(row));
    if (known === null || known.text !== row.text || known.deleted !== row.deleted) this.#say(row);
    set_text(this.#edited, row.edited && !row.deleted ? this.#manner.texts.edited : "");
    this.#date(row.created_at);
    if (known?.status !== row.status) this.#show_progress(row.status);
    if (known?.failure !== row.failure) this.#show_failure(row);
  }

  /**
   * @param {Row} row
   * @param {Place} place
   */
  #mark(row, place) {
    const { item } = this;
    item.className = ["line", row.mine ? "mine" : row.author.type === "system" ? "system" : "theirs"].join(" ");
    item.classList.toggle("first", place.first);
    item.classList.toggle("deleted", row.deleted);
    item.classList.toggle("newest-read", place.newest_read);
    /** @type {Record<string, string | null>} */
    const data = { id: row.id, cmid: row.cmid, status: row.status };
    for (const [name, value] of Object.entries(data)) {
      if (value === null) delete item.dataset[name];
      else item.dataset[name] = value;
    }
  }

  /** @param {Row} row */
  #author(row) {
    if (row.mine) return this.#manner.texts.you;
    return row.author.name || this.#manner.texts.shop;
  }

  /** @param {Row} row */
  #say(row) {
    if (row.deleted) this.#words.replaceChildren(this.#manner.texts.deleted);
    else if (row.text === null) this.#words.replaceChildren(this.#manner.texts.unsupported);
    else this.#words.replaceChildren(...linkify(row.text));
  }

  /** @param {string} created_at */
  #date(created_at) {
    const moment = new Date(created_at);
    const known = !Number.isNaN(moment.getTime());
    this.#time.dateTime = known ? moment.toISOString() : "";
    this.#time.title = known ? this.#manner.moment.format(moment) : "";
    set_text(this.#time, known ? this.#manner.time.format(moment) : "");
  }

  /** @param {Progress | null} status */
  #show_progress(status) {
    this.#progress.hidden = status === null;
    this.#progress.querySelector("svg")?.remove();
    if (status !== null) this.#progress.prepend(icon(status, ...PICTURES[status]));
    set_text(this.#said, status === null ? "" : this.#manner.texts[status]); // the same node: a change, not news
  }

  /** @param {Row} row */
  #show_failure({ cmid, failure }) {
    this.#failure?.remove();
    this.#failure = null;
    if (failure === null || cmid === null) return;
    const { texts, on_try_again, on_remove } = this.#manner;
    const why = failure === "malformed" || failure === "too_long" ? texts[failure] : texts.refused;
    this.#failure = element(
      "div",
      { class: "failure" },
      element("p", { role: "alert" }, `${texts.failed}. ${why}`),
      text_button(texts.try_again, { class: "try-again" }, () => on_try_again(cmid)),
      text_button(texts.remove, { class: "remove" }, () => on_remove(cmid)),
    );
    this.item.append(this.#failure);
  }
}
