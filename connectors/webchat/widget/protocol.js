// @ts-check
/**
 * The shapes of the web chat protocol, and the one place where text from the server becomes typed values.
 * What does not fit is dropped, members we do not know are ignored: the server may be newer than this page.
 */

/** @typedef {"contact" | "agent" | "bot" | "shop" | "system"} AuthorType */
/** @typedef {{ type: AuthorType, name: string }} Author */
/** @typedef {"delivered" | "read"} Status  how far the visitor's own line has come in the shop */

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {string} conversation
 * @property {number} seq
 * @property {boolean} mine
 * @property {string | null} cmid  only on the visitor's own lines
 * @property {Author} author
 * @property {string | null} text  null: a kind this page cannot show
 * @property {Status} status
 * @property {string | null} reply_to
 * @property {string} created_at
 * @property {boolean} edited
 * @property {boolean} deleted
 */

/**
 * @typedef {object} Sync
 * @property {Message[]} messages
 * @property {string | null} seen_up_to
 * @property {string | null} cursor
 * @property {boolean} more
 * @property {boolean} reset
 */

/**
 * @typedef {{ t: "welcome" }
 *   | { t: "pong" }
 *   | { t: "sync", sync: Sync }
 *   | { t: "ack", cmid: string }
 *   | { t: "nack", cmid: string, code: string, retry_after_s: number | null }
 *   | { t: "typing", on: boolean, name: string }
 *   | { t: "bye", retry_after_s: number }} ServerFrame
 */

/**
 * @typedef {{ t: "hello", d: { token: string, cursor?: string, locale?: string } }
 *   | { t: "send", id: string, d: { cmid: string, text: string, reply_to?: string } }
 *   | { t: "recv" | "read", d: { up_to: string } }
 *   | { t: "typing", d: { on: boolean } }
 *   | { t: "ping" }} ClientFrame
 */

/** @typedef {Record<string, unknown>} Members */

const AUTHORS = /** @type {const} */ (["contact", "agent", "bot", "shop", "system"]);

/** @param {unknown} value @returns {Members} */
export function members(value) {
  return typeof value === "object" && value !== null ? /** @type {Members} */ (value) : {};
}

/** @param {unknown} value @returns {string | null} */
export function text(value) {
  return typeof value === "string" && value !== "" ? value : null;
}

/** @param {unknown} value @returns {number | null} */
export function seconds(value) {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}

/**
 * @param {unknown} value
 * @returns {Message | null}
 */
export function parse_message(value) {
  const data = members(value);
  const id = text(data.id);
  const conversation = text(data.conversation);
  if (id === null || conversation === null || typeof data.seq !== "number") return null;
  const author = members(data.author);
  const mine = data.mine === true;
  return {
    id,
    conversation,
    seq: data.seq,
    mine,
    cmid: mine ? text(data.cmid) : null,
    author: {
      type: AUTHORS.find((type) => type === author.type) ?? (mine ? "contact" : "shop"),
      name: text(author.name) ?? "",
    },
    text: text(members(data.content).text),
    status: data.status === "read" ? "read" : "delivered",
    reply_to: text(data.reply_to),
    created_at: text(data.created_at) ?? "",
    edited: text(data.edited_at) !== null,
    deleted: data.deleted === true,
  };
}

/**
 * @param {unknown} value
 * @returns {Sync}
 */
export function parse_sync(value) {
  const data = members(value);
  const messages = Array.isArray(data.messages) ? data.messages : [];
  return {
    messages: messages.map(parse_message).filter((message) => message !== null),
    seen_up_to: text(members(data.seen).up_to),
    cursor: text(data.cursor),
    more: data.more === true,
    reset: data.reset === true,
  };
}

/** @type {Record<string, (data: Members, id: string | null) => ServerFrame | null>} */
const PARSERS = {
  welcome: () => ({ t: "welcome" }),
  pong: () => ({ t: "pong" }),
  sync: (data) => ({ t: "sync", sync: parse_sync(data) }),
  ack: (data, id) => {
    const cmid = text(data.cmid) ?? id;
    return cmid === null ? null : { t: "ack", cmid };
  },
  nack: (data, id) => {
    const cmid = text(data.cmid) ?? id;
    if (cmid === null) return null;
    return { t: "nack", cmid, code: text(data.code) ?? "unavailable", retry_after_s: seconds(data.retry_after_s) };
  },
  typing: (data) => ({ t: "typing", on: data.on === true, name: text(data.name) ?? "" }),
  bye: (data) => ({ t: "bye", retry_after_s: seconds(data.retry_after_s) ?? 1 }),
};

/**
 * Return the frame, or null when it is not one we know.
 * @param {unknown} raw
 * @returns {ServerFrame | null}
 */
export function parse_frame(raw) {
  if (typeof raw !== "string") return null;
  /** @type {Members} */
  let frame;
  try {
    frame = members(JSON.parse(raw));
  } catch {
    return null;
  }
  const type = text(frame.t) ?? "";
  return Object.hasOwn(PARSERS, type) ? (PARSERS[type]?.(members(frame.d), text(frame.id)) ?? null) : null;
}
