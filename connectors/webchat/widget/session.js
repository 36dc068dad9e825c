// @ts-check
/** The visitor's session: one token per browser and channel, shared by all tabs. */
import { members, seconds, text } from "./protocol.js";

/** @typedef {import("./store.js").Store} Store */

/**
 * @typedef {object} Session
 * @property {string} visitor
 * @property {string} token
 * @property {string | null} greeting
 * @property {string | null} title
 * @property {number} max_text  code points in one line
 * @property {number | null} answer_hours  nobody can answer now: within how many hours a form is answered
 */

/** The chat cannot be had here; asking again would not help. */
export class ChatUnavailable extends Error {}

/** The server did not answer now; ask again, not before `retry_after_s`. */
export class SessionDeferred extends Error {
  /** @param {number} retry_after_s */
  constructor(retry_after_s) {
    super(`The chat session could not be opened; trying again in ${retry_after_s} s or later.`);
    this.retry_after_s = retry_after_s;
  }
}

const TIMEOUT_MS = 15_000;
const MAX_TEXT = 4000; // the protocol's limit, for a server that does not name one
const ANSWER_HOURS = 24;
const REFUSED = new Set([403, 404, 410]);

/**
 * Return the session of this browser: the stored visitor if his token still lives, a new one otherwise.
 * @param {string} address  of POST .../session
 * @param {Store} store
 * @param {{ forget: boolean }} options  forget: the stored token was refused more than once
 * @returns {Promise<Session>}
 * @throws {ChatUnavailable | SessionDeferred}
 */
export async function open_session(address, store, { forget }) {
  const open = () => request(address, store, forget);
  try {
    // Two tabs opened at once must not become two visitors.
    return await navigator.locks.request(`shopbell:${address}`, open);
  } catch (error) {
    if (error instanceof ChatUnavailable || error instanceof SessionDeferred) throw error;
    return open(); // no locks without TLS, nor where storage of other sites is blocked
  }
}

/**
 * @param {string} address
 * @param {Store} store
 * @param {boolean} forget
 * @returns {Promise<Session>}
 */
async function request(address, store, forget) {
  const token = forget ? null : store.get("token");
  const response = await ask(address, token);
  if (REFUSED.has(response.status)) throw new ChatUnavailable(`The chat answered ${response.status}.`);
  if (!response.ok) throw new SessionDeferred(seconds(Number(response.headers.get("Retry-After") ?? 0)) ?? 0);
  const session = parse_session(await response.json().catch(() => null));
  store.set("token", session.token);
  return session;
}

/**
 * @param {string} address
 * @param {string | null} token
 */
async function ask(address, token) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  try {
    return await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(token === null ? {} : { token }),
      credentials: "omit",
      signal: abort.signal,
    });
  } catch {
    throw new SessionDeferred(0);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {unknown} body
 * @returns {Session}
 */
function parse_session(body) {
  const data = members(body);
  const visitor = text(data.visitor);
  const token = text(data.token);
  if (visitor === null || token === null) throw new SessionDeferred(0);
  const limit = members(data.limits).text;
  return {
    visitor,
    token,
    greeting: text(data.greeting),
    title: text(data.title),
    max_text: typeof limit === "number" && limit > 0 ? limit : MAX_TEXT,
    answer_hours: data.answering === false ? (seconds(members(data.form).answer_hours) ?? ANSWER_HOURS) : null,
  };
}
