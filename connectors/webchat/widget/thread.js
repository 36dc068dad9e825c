// @ts-check
/**
 * The conversation as this page knows it: a pure fold over what the server said and what the visitor wrote.
 * Folding the same thing twice, or an old thing late, changes nothing. No DOM, no socket, no clock.
 */

/** @typedef {import("./protocol.js").Message} Message */
/** @typedef {import("./protocol.js").Sync} Sync */
/** @typedef {import("./protocol.js").Author} Author */
/** @typedef {import("./outbox.js").Line} Line */

/**
 * A place in the thread; both parts only grow.
 * @typedef {{ conversation: string, seq: number }} Place
 */

/**
 * @typedef {object} Thread
 * @property {ReadonlyMap<string, Message>} messages  by id
 * @property {string | null} cursor  where to resume
 * @property {string | null} seen_up_to  the visitor's line up to which the shop has read
 * @property {boolean} complete  no further `sync` has been announced
 */

/** @typedef {"sending" | "sent" | "delivered" | "read" | "failed"} Progress */

/**
 * One line on the screen, a message or a line on its way to be one.
 * @typedef {object} Row
 * @property {string} key  the same before and after the line becomes a message
 * @property {string | null} id
 * @property {string | null} cmid
 * @property {boolean} mine
 * @property {Author} author
 * @property {string | null} text
 * @property {Progress | null} status  only on the visitor's own lines
 * @property {string | null} failure  code of the final nack
 * @property {string} created_at
 * @property {boolean} edited
 * @property {boolean} deleted
 */

/** @type {Thread} */
export const EMPTY = { messages: new Map(), cursor: null, seen_up_to: null, complete: false };

/** @type {Author} */
const VISITOR = { type: "contact", name: "" };

/**
 * @param {Place} left
 * @param {Place} right
 */
export function compare(left, right) {
  if (left.conversation !== right.conversation) return left.conversation < right.conversation ? -1 : 1;
  return left.seq - right.seq;
}

/**
 * @param {Thread} thread
 * @param {Sync} sync
 * @returns {Thread}
 */
export function fold(thread, sync) {
  const messages = new Map(sync.reset ? [] : thread.messages);
  for (const message of sync.messages) messages.set(message.id, newer(messages.get(message.id), message));
  return {
    messages,
    cursor: sync.cursor ?? thread.cursor,
    seen_up_to: later(messages, sync.reset ? null : thread.seen_up_to, sync.seen_up_to),
    complete: !sync.more,
  };
}

/**
 * A frame that was overtaken does not unread a line.
 * @param {Message | undefined} known
 * @param {Message} message
 * @returns {Message}
 */
function newer(known, message) {
  return known?.status === "read" && message.status !== "read" ? { ...message, status: "read" } : message;
}

/**
 * @param {ReadonlyMap<string, Message>} messages
 * @param {string | null} known
 * @param {string | null} told
 */
function later(messages, known, told) {
  if (known === null || told === null) return told ?? known;
  const left = messages.get(known);
  const right = messages.get(told);
  return left && right && compare(left, right) > 0 ? known : told;
}

/** @param {Thread} thread */
export function in_order(thread) {
  return [...thread.messages.values()].sort(compare);
}

/**
 * What to show: messages in the order of the thread, then the lines that are not messages yet, as written.
 * @param {Thread} thread
 * @param {ReadonlyArray<Line>} lines
 * @returns {Row[]}
 */
export function rows(thread, lines) {
  const messages = in_order(thread);
  const arrived = committed(thread);
  const seen = thread.seen_up_to === null ? undefined : thread.messages.get(thread.seen_up_to);
  return [
    ...messages.map((message) => message_row(message, seen)),
    ...lines.filter((line) => !arrived.has(line.cmid)).map(line_row),
  ];
}

/**
 * The visitor's lines that the server certainly has.
 * @param {Thread} thread
 * @returns {Set<string>}
 */
export function committed(thread) {
  const cmids = [...thread.messages.values()].map((message) => message.cmid);
  return new Set(cmids.filter((cmid) => cmid !== null));
}

/**
 * @param {Message} message
 * @param {Message | undefined} seen
 * @returns {Row}
 */
function message_row(message, seen) {
  // `seen` is a mark on the visitor's lines. One that stands on a line of the shop would claim too much here.
  const read = message.status === "read" || (seen?.mine === true && compare(message, seen) <= 0);
  return {
    key: message.cmid === null ? message.id : `line:${message.cmid}`,
    id: message.id,
    cmid: message.cmid,
    mine: message.mine,
    author: message.author,
    text: message.text,
    status: !message.mine ? null : read ? "read" : "delivered",
    failure: null,
    created_at: message.created_at,
    edited: message.edited,
    deleted: message.deleted,
  };
}

/**
 * @param {Line} line
 * @returns {Row}
 */
function line_row(line) {
  return {
    key: `line:${line.cmid}`,
    id: null,
    cmid: line.cmid,
    mine: true,
    author: VISITOR,
    text: line.text,
    status: line.failure !== null ? "failed" : line.acked ? "sent" : "sending",
    failure: line.failure,
    created_at: new Date(line.written_at_ms).toISOString(),
    edited: false,
    deleted: false,
  };
}

/**
 * The newest message of the other side, for the `recv` watermark.
 * @param {Thread} thread
 * @returns {Message | null}
 */
export function newest_of_shop(thread) {
  return in_order(thread).findLast((message) => !message.mine) ?? null;
}

/**
 * The shop's messages that no person has looked at yet.
 * @param {Thread} thread
 * @param {Place | null} read
 * @returns {Message[]}
 */
export function unread(thread, read) {
  return in_order(thread).filter(
    (message) =>
      !message.mine &&
      !message.deleted &&
      message.author.type !== "system" &&
      (read === null || compare(message, read) > 0),
  );
}
