// @ts-check
/** The panel put together: what comes from the socket is folded, what the fold says is shown. */
import { Connection } from "./connection.js";
import { send_form } from "./contact_request.js";
import { Embedding } from "./embedding.js";
import { text_button } from "./elements.js";
import { Outbox, new_cmid } from "./outbox.js";
import { Seen } from "./seen.js";
import { open_session } from "./session.js";
import { open_store } from "./store.js";
import { choose_texts } from "./texts.js";
import { EMPTY, committed, compare, fold, newest_of_shop, rows, unread } from "./thread.js";
import { View } from "./view.js";

/** @typedef {import("./connection.js").State} State */
/** @typedef {import("./connection.js").Hello} Hello */
/** @typedef {import("./protocol.js").ServerFrame} ServerFrame */
/** @typedef {import("./protocol.js").Sync} Sync */
/** @typedef {import("./thread.js").Place} Place */

const TYPING_EVERY_MS = 3_000;
const TYPING_EXPIRES_MS = 6_000;
const CALM_MS = 1_000; // a reconnect shorter than this is nobody's concern

const query = new URLSearchParams(location.search);
const channel = query.get("channel") ?? "";
const chat = new URL(`../chat/${encodeURIComponent(channel)}/`, location.href);
const forms = new URL(`../chat/forms/${encodeURIComponent(channel)}`, location.href);
const socket_address = new URL("socket", chat);
socket_address.protocol = chat.protocol === "https:" ? "wss:" : "ws:";

const { locale, texts } = choose_texts(query.get("locale") || navigator.language);
document.documentElement.lang = locale;
document.title = texts.chat;

const store = open_store(channel);
const drafts = open_store(channel, () => window.sessionStorage); // two tabs, two drafts

// Nobody becomes a visitor, and no socket is opened, before the panel is; unless he was one already.
const known = store.get("token") !== null;

let thread = EMPTY;
let open = false;
let revealed = false; // since the panel was opened, the unread lines have been brought into view
/** @type {import("./session.js").Session | null} */
let session = null;
let read = stored_read();
/** @type {string | null} */
let reported_recv = null;
const form_cmid = new_cmid(); // one form per page; another text under it is another form to the server
let typed_at_ms = -Infinity;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing_timer;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let calm_timer;

const outbox = new Outbox(store, {
  transmit: ({ cmid, text, reply_to }) =>
    connection.send({ t: "send", id: cmid, d: { cmid, text, ...(reply_to === null ? {} : { reply_to }) } }),
  on_change: () => show(),
  on_silence: () => connection.restart(),
});

const view = new View(texts, locale, drafts.get("draft") ?? "", {
  on_write(words) {
    outbox.write(words);
    typed_at_ms = -Infinity;
    connection.start();
  },
  on_draft(draft) {
    if (draft === "") return drafts.remove("draft");
    drafts.set("draft", draft);
    tell_typing();
  },
  on_close: () => embedding.close(),
  on_try_again(cmid) {
    outbox.try_again(cmid);
    view.composer.focus();
  },
  on_remove(cmid) {
    outbox.remove(cmid);
    view.composer.focus();
  },
  on_form: (form) => send_form(forms.href, session?.token ?? null, form_cmid, locale, form),
});

const seen = new Seen(view.log, (id) => {
  const message = thread.messages.get(id);
  if (message === undefined || (read !== null && compare(message, read) <= 0)) return;
  read = { id, conversation: message.conversation, seq: message.seq };
  store.set("read", JSON.stringify(read));
  connection.send({ t: "read", d: { up_to: id } });
  count();
});

const connection = new Connection(socket_address.href, {
  greet,
  on_frame: receive,
  on_state(state) {
    if (state !== "open") outbox.disconnected();
    show_state(state);
  },
});

const embedding = new Embedding({
  on_hello() {
    if (known) connection.start(); // for the unread badge
  },
  on_open(wanted) {
    if (wanted === open) return;
    if (wanted) {
      connection.start();
      connection.wake();
    }
    open = wanted;
    revealed = false;
    seen.set_open(open);
    if (open) requestAnimationFrame(() => view.focus());
    reveal();
  },
});

/**
 * @param {number} rejections
 * @returns {Promise<Hello>}
 */
async function greet(rejections) {
  if (session === null || rejections > 0) {
    const next = await open_session(new URL("session", chat).href, store, { forget: rejections > 1 });
    if (session !== null && session.visitor !== next.visitor) forget_thread();
    session = next;
    view.set_title(session.title ?? texts.chat);
    if (session.greeting !== null) view.set_greeting(session.greeting);
    view.composer.set_max_text(session.max_text);
    view.contact.set_max_text(session.max_text);
    offer_form();
  }
  return {
    t: "hello",
    d: {
      token: session.token,
      ...(thread.cursor === null ? {} : { cursor: thread.cursor }),
      locale: navigator.language,
    },
  };
}

/** Another visitor's words are not ours to show; what was not sent yet is kept. */
function forget_thread() {
  thread = EMPTY;
  read = null;
  store.remove("read");
  show();
}

/** @param {ServerFrame} frame */
function receive(frame) {
  switch (frame.t) {
    case "welcome":
      reported_recv = null;
      return outbox.connected();
    case "sync":
      return receive_sync(frame.sync);
    case "ack":
      return outbox.acked(frame.cmid);
    case "nack":
      return outbox.refused(frame.cmid, frame.code, frame.retry_after_s);
    case "typing":
      return show_typing(frame.on ? frame.name : null);
  }
}

/** @param {Sync} sync */
function receive_sync(sync) {
  thread = fold(thread, sync);
  outbox.committed(committed(thread));
  if (sync.messages.some((message) => !message.mine)) show_typing(null);
  show();
  if (!thread.complete) return;
  tell_watermarks();
  reveal();
  view.go_live();
}

function tell_watermarks() {
  const newest = newest_of_shop(thread);
  if (newest === null || newest.id === reported_recv) return;
  const first = reported_recv === null;
  if (!connection.send({ t: "recv", d: { up_to: newest.id } })) return;
  reported_recv = newest.id;
  // The last socket may have died with our `read` in it.
  if (first && read !== null && thread.messages.has(read.id)) connection.send({ t: "read", d: { up_to: read.id } });
}

function tell_typing() {
  const now_ms = performance.now();
  if (now_ms - typed_at_ms < TYPING_EVERY_MS) return;
  if (connection.send({ t: "typing", d: { on: true } })) typed_at_ms = now_ms;
}

function show() {
  view.render(rows(thread, outbox.lines()));
  offer_form();
  count();
}

/** Whoever already has a conversation here is answered in it. */
function offer_form() {
  const begun = !thread.complete || thread.messages.size > 0 || outbox.lines().length > 0;
  view.contact.offer(begun ? null : (session?.answer_hours ?? null));
}

function count() {
  const waiting = unread(thread, read);
  seen.watch(view.bubbles(waiting.map((message) => message.id)));
  embedding.set_unread(waiting.length);
}

/** Opening takes the visitor to the first line he has not seen, once the thread is here. */
function reveal() {
  if (!open || revealed || !thread.complete) return;
  revealed = true;
  requestAnimationFrame(() => view.reveal(unread(thread, read)[0]?.id ?? null));
}

/** @param {string | null} name */
function show_typing(name) {
  clearTimeout(typing_timer);
  view.set_typing(name);
  if (name !== null) typing_timer = setTimeout(() => view.set_typing(null), TYPING_EXPIRES_MS);
}

/** @param {State} state */
function show_state(state) {
  clearTimeout(calm_timer);
  if (state === "open" || state === "idle") return view.set_state("");
  if (state === "unavailable") {
    view.composer.disable();
    return view.set_state(texts.unavailable);
  }
  if (state === "outdated") {
    view.composer.disable();
    return view.set_state(texts.outdated, text_button(texts.reload, {}, () => location.reload()));
  }
  show_typing(null);
  if (!navigator.onLine) return view.set_state(texts.offline);
  calm_timer = setTimeout(() => view.set_state(texts.connecting), CALM_MS);
}

/** @returns {(Place & { id: string }) | null} */
function stored_read() {
  try {
    const { id, conversation, seq } = JSON.parse(store.get("read") ?? "null");
    const whole = typeof id === "string" && typeof conversation === "string" && typeof seq === "number";
    return whole ? { id, conversation, seq } : null;
  } catch {
    return null; // nothing kept, or not by us
  }
}

store.on_foreign_change((name) => {
  if (name !== "read") return;
  const told = stored_read();
  if (told !== null && (read === null || compare(told, read) > 0)) read = told;
  count();
});
window.addEventListener("online", () => {
  show_state(connection.state);
  connection.wake();
});
window.addEventListener("offline", () => show_state(connection.state === "open" ? "connecting" : connection.state));
window.addEventListener("pageshow", () => connection.wake());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") connection.wake();
});

view.mount();
show();
embedding.start();
