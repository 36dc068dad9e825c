// @ts-check
/**
 * The visitor's lines that the server has not confirmed yet. They survive reloads and lost sockets, go out one at a
 * time in the order written, and always under the same cmid, so that the server may see them twice and keep them once.
 *
 * Every line has its own entry in the store: tabs never overwrite each other's list. A tab sends what was written in
 * it at once; what another tab wrote it sends only on a fresh connection or when that tab has kept silent for a while.
 */
import { members, text } from "./protocol.js";

/** @typedef {import("./store.js").Store} Store */

/**
 * @typedef {object} Line
 * @property {string} cmid
 * @property {string} text
 * @property {string | null} reply_to
 * @property {number} written_at_ms  grows strictly within a tab
 * @property {string | null} failure  code of a final nack
 * @property {boolean} acked  committed, but the message itself has not come yet
 */

/**
 * @typedef {object} Owner
 * @property {(line: Line) => boolean} transmit  whether the line went into a living socket
 * @property {() => void} on_change
 * @property {() => void} on_silence  a line got neither ack nor nack: the socket is not to be trusted
 */

const PREFIX = "line:";
// Any other code, known or not, is shown to the visitor: better than a line that waits for ever.
const PASSING = new Set(["unavailable"]);
const ANSWER_WITHIN_MS = 20_000;
const ADOPT_AFTER_MS = 10_000;
const FIRST_PAUSE_S = 1;
const LONGEST_PAUSE_S = 30;

export class Outbox {
  #store;
  #owner;
  /** @type {Map<string, Line>} */
  #lines = new Map();
  /** @type {Set<string>} lines this tab may send */
  #ours = new Set();
  /** @type {string | null} */
  #in_flight = null;
  #connected = false;
  #postponed = 0; // how often in a row the server asked us to wait
  #last_written_ms = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} the answer to the line in flight, or the pause before it */
  #timer;

  /**
   * @param {Store} store
   * @param {Owner} owner
   */
  constructor(store, owner) {
    this.#store = store;
    this.#owner = owner;
    this.#load();
    store.on_foreign_change((name) => {
      if (name === null) this.lines().filter(({ acked }) => !acked).forEach((line) => this.#keep(line));
      else if (name.startsWith(PREFIX)) this.#hear();
    });
  }

  /** @returns {Line[]} in the order written */
  lines() {
    return [...this.#lines.values()].sort((left, right) => left.written_at_ms - right.written_at_ms);
  }

  /**
   * Keep a line and send it as soon as its turn comes.
   * @param {string} words
   * @param {string | null} reply_to
   */
  write(words, reply_to = null) {
    this.#put({
      cmid: new_cmid(),
      text: words,
      reply_to,
      written_at_ms: this.#tick(),
      failure: null,
      acked: false,
    });
    this.#owner.on_change();
    this.#next();
  }

  /** A welcomed socket: whatever is still here goes out again, other tabs' lines too. */
  connected() {
    this.#connected = true;
    this.#halt();
    this.#adopt(() => true);
    this.#next();
  }

  disconnected() {
    this.#connected = false;
    this.#halt();
  }

  /** @param {string} cmid */
  acked(cmid) {
    const line = this.#lines.get(cmid);
    if (line !== undefined) {
      this.#store.remove(PREFIX + cmid);
      this.#lines.set(cmid, { ...line, acked: true, failure: null });
      this.#owner.on_change();
    }
    this.#answered(cmid);
  }

  /**
   * These lines have come back as messages: nothing remains to be done for them.
   * @param {ReadonlySet<string>} cmids
   */
  committed(cmids) {
    for (const cmid of cmids) {
      if (!this.#lines.has(cmid)) continue;
      this.#forget(cmid);
      this.#answered(cmid);
    }
  }

  /**
   * @param {string} cmid
   * @param {string} code
   * @param {number | null} retry_after_s
   */
  refused(cmid, code, retry_after_s) {
    const line = this.#lines.get(cmid);
    if (line === undefined || line.acked) return;
    if (!PASSING.has(code)) {
      this.#put({ ...line, failure: code });
      this.#owner.on_change();
      return this.#answered(cmid);
    }
    if (cmid !== this.#in_flight) return;
    this.#halt();
    const pause_s = retry_after_s ?? Math.min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** this.#postponed);
    this.#postponed += 1;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#next();
    }, pause_s * 1000);
  }

  /**
   * Send a refused line once more, after those that are waiting now.
   * @param {string} cmid
   */
  try_again(cmid) {
    const line = this.#lines.get(cmid);
    if (line === undefined || line.failure === null) return;
    this.#put({ ...line, failure: null, written_at_ms: this.#tick() });
    this.#owner.on_change();
    this.#next();
  }

  /**
   * Drop a refused line; one that may have reached the server cannot be taken back.
   * @param {string} cmid
   */
  remove(cmid) {
    if (this.#lines.get(cmid)?.failure == null) return;
    this.#forget(cmid);
    this.#owner.on_change();
  }

  #next() {
    if (!this.#connected || this.#in_flight !== null || this.#timer !== undefined) return;
    const line = this.lines().find(({ cmid, acked, failure }) => this.#ours.has(cmid) && !acked && failure === null);
    if (line === undefined || !this.#owner.transmit(line)) return;
    this.#in_flight = line.cmid;
    this.#timer = setTimeout(() => {
      this.#halt();
      this.#owner.on_silence();
    }, ANSWER_WITHIN_MS);
  }

  /** @param {string} cmid */
  #answered(cmid) {
    if (cmid !== this.#in_flight) return;
    this.#postponed = 0;
    this.#halt();
    this.#next();
  }

  #halt() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#in_flight = null;
  }

  /** @param {Line} line */
  #put(line) {
    this.#lines.set(line.cmid, line);
    this.#ours.add(line.cmid);
    this.#keep(line);
  }

  /** @param {Line} line */
  #keep(line) {
    const { text, reply_to, written_at_ms, failure } = line;
    this.#store.set(PREFIX + line.cmid, JSON.stringify({ text, reply_to, written_at_ms, failure }));
  }

  /** @param {string} cmid */
  #forget(cmid) {
    this.#store.remove(PREFIX + cmid);
    this.#lines.delete(cmid);
    this.#ours.delete(cmid);
  }

  // Two lines of one millisecond, or a clock set back, must not swap places.
  #tick() {
    const newest = this.lines().at(-1)?.written_at_ms ?? 0;
    this.#last_written_ms = Math.max(Date.now(), this.#last_written_ms + 1, newest + 1);
    return this.#last_written_ms;
  }

  #load() {
    for (const name of this.#store.names()) {
      if (!name.startsWith(PREFIX)) continue;
      const line = parse_line(name.slice(PREFIX.length), this.#store.get(name));
      if (line === null) this.#store.remove(name);
      else this.#lines.set(line.cmid, line);
    }
  }

  /** @param {(line: Line) => boolean} wanted */
  #adopt(wanted) {
    for (const line of this.#lines.values()) if (wanted(line)) this.#ours.add(line.cmid);
  }

  // Another tab wrote, finished or dropped a line.
  #hear() {
    const kept = new Set(this.#store.names().filter((name) => name.startsWith(PREFIX)));
    for (const line of this.lines()) {
      if (kept.has(PREFIX + line.cmid) || line.acked) continue;
      if (line.failure !== null) this.#lines.delete(line.cmid);
      else this.#lines.set(line.cmid, { ...line, acked: true }); // its message is on the way here too
      this.#answered(line.cmid);
    }
    this.#load();
    this.#owner.on_change();
    this.#next();
    setTimeout(() => {
      this.#adopt((line) => Date.now() - line.written_at_ms >= ADOPT_AFTER_MS);
      this.#next();
    }, ADOPT_AFTER_MS + 100);
  }
}

/**
 * @param {string} cmid
 * @param {string | null} kept
 * @returns {Line | null}
 */
function parse_line(cmid, kept) {
  /** @type {Record<string, unknown>} */
  let data;
  try {
    data = members(JSON.parse(kept ?? "null"));
  } catch {
    return null;
  }
  const words = text(data.text);
  if (words === null || typeof data.written_at_ms !== "number") return null;
  return {
    cmid,
    text: words,
    reply_to: text(data.reply_to),
    written_at_ms: data.written_at_ms,
    failure: text(data.failure),
    acked: false,
  };
}

/** A random UUID; `crypto.randomUUID` alone is missing on pages without TLS. */
export function new_cmid() {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}
