// @ts-check
/**
 * The page around the panel. It is not ours: it learns whether we are ready, how many lines are unread, and when the
 * visitor wants the panel closed. Nothing of the conversation ever goes there.
 */
import { members } from "./protocol.js";

/**
 * @typedef {object} Owner
 * @property {(open: boolean) => void} on_open
 * @property {() => void} on_hello
 */

export class Embedding {
  #owner;
  /** @type {string | null} origin of the page; known from its first message on, then fixed */
  #origin = null;
  #unread = 0;

  /** @param {Owner} owner */
  constructor(owner) {
    this.#owner = owner;
  }

  start() {
    if (window.parent === window) return this.#owner.on_open(true); // opened as a page of its own
    window.addEventListener("message", (event) => this.#hear(event));
  }

  /** @param {number} count */
  set_unread(count) {
    if (count === this.#unread) return;
    this.#unread = count;
    this.#tell({ type: "unread", count });
  }

  close() {
    this.#tell({ type: "close" });
  }

  /** @param {MessageEvent} event */
  #hear(event) {
    if (event.source !== window.parent || event.origin === "null") return;
    if (event.origin !== (this.#origin ?? event.origin)) return;
    const data = members(event.data);
    if (data.shopbell !== 1) return;
    this.#origin = event.origin;
    if (data.type === "hello") {
      this.#owner.on_hello();
      this.#tell({ type: "ready" });
      this.#tell({ type: "unread", count: this.#unread });
    }
    this.#owner.on_open(data.open === true);
  }

  /** @param {{ type: "ready" } | { type: "close" } | { type: "unread", count: number }} message */
  #tell(message) {
    if (this.#origin !== null) window.parent.postMessage({ shopbell: 1, ...message }, this.#origin);
  }
}
