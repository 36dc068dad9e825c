// @ts-check
/** The contact form on its way to the server: what is sent, and what may come back. No DOM. */
import { members, text } from "./protocol.js";

/** @typedef {"email" | "phone" | "messenger"} Way */
/** @typedef {"text" | "name" | Way} Field */

/**
 * @typedef {object} Form
 * @property {string} text
 * @property {string} name
 * @property {Way} way
 * @property {string} address  of the way: an e-mail address, a number, a name in the messenger
 * @property {string} messenger  empty: any
 */

/**
 * @typedef {object} Receipt
 * @property {string} expect  a sentence in the visitor's language
 * @property {string | null} reference
 */

/** The form was not taken. */
export class FormRefused extends Error {
  /**
   * @param {Field[]} fields  those that do not fit; none: it is not for what was written
   * @param {boolean} busy  the server wants us to wait
   */
  constructor(fields, busy) {
    super(`The contact form was refused: ${fields.join(", ") || (busy ? "too many" : "not possible now")}.`);
    this.fields = fields;
    this.busy = busy;
  }
}

const TIMEOUT_MS = 20_000;
const BUSY = 429;

/** @type {Record<string, Field>} by the first part of a pointer into what was sent */
const FIELDS = { text: "text", name: "name", email: "email", phone: "phone", handle: "messenger" };

/**
 * Return once the form is safe. The same form may be sent again with the same cmid: it is kept once.
 * @param {string} address  of POST /chat/forms/{channel}
 * @param {string | null} token
 * @param {string} cmid
 * @param {string} language
 * @param {Form} form
 * @returns {Promise<Receipt>}
 * @throws {FormRefused}
 */
export async function send_form(address, token, cmid, language, form) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token === null ? {} : { Authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ cmid, language, ...fields_of(form) }),
      credentials: "omit",
      signal: abort.signal,
    });
    const body = members(await response.json().catch(() => null));
    const expect = text(body.expect);
    if (response.ok && expect !== null) return { expect, reference: text(body.reference) };
    throw new FormRefused(response.status === 422 ? misfits(body) : [], response.status === BUSY);
  } catch (error) {
    throw error instanceof FormRefused ? error : new FormRefused([], false); // no network, or no answer in time
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Form} form */
function fields_of({ text: words, name, way, address, messenger }) {
  const handle = messenger === "" ? { name: address } : { messenger, name: address };
  return {
    text: words,
    ...(name === "" ? {} : { name }),
    ...(way === "messenger" ? { handle } : { [way]: address }),
  };
}

/**
 * @param {import("./protocol.js").Members} problem
 * @returns {Field[]}
 */
function misfits(problem) {
  const errors = Array.isArray(problem.errors) ? problem.errors : [];
  const names = errors.map((error) => (text(members(error).pointer) ?? "").split("/")[1] ?? "");
  return names.flatMap((name) => (Object.hasOwn(FIELDS, name) ? [/** @type {Field} */ (FIELDS[name])] : []));
}
