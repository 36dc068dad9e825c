// @ts-check
/**
 * One living socket, or the way back to one: hello, ping, close codes, reconnect. No DOM, no messages.
 * The owner folds what `on_frame` hands over and asks again for whatever a lost socket may have swallowed.
 */
import { parse_frame } from "./protocol.js";
import { ChatUnavailable, SessionDeferred } from "./session.js";

/** @typedef {import("./protocol.js").ClientFrame} ClientFrame */
/** @typedef {import("./protocol.js").ServerFrame} ServerFrame */
/** @typedef {Extract<ClientFrame, { t: "hello" }>} Hello */

/**
 * idle: not started. connecting: on the way, or pausing before it. open: welcomed.
 * unavailable, outdated: over; only a reload helps.
 * @typedef {"idle" | "connecting" | "open" | "unavailable" | "outdated"} State
 */

/**
 * @typedef {object} Owner
 * @property {(rejections: number) => Promise<Hello>} greet
 *   the first frame; `rejections`: how often in a row the server refused the token
 * @property {(frame: ServerFrame) => void} on_frame
 * @property {(state: State) => void} on_state
 */

/**
 * @typedef {object} Surroundings  what the connection needs of the world; tests bring their own
 * @property {(address: string) => WebSocket} dial
 * @property {() => number} random
 * @property {() => number} now_ms
 */

const FIRST_PAUSE_S = 0.5;
const LONGEST_PAUSE_S = 30;
const CROWDED_PAUSE_S = 10; // after 4008: the server has just told us that we are too many
const PING_AFTER_MS = 25_000;
const ANSWER_WITHIN_MS = 10_000; // for welcome and for any sign of life after a ping
const GOODBYE_WITHIN_MS = 5_000; // `bye` leaves the server this long to send its last acks

/** @type {Record<number, "unavailable" | "outdated">} */
const FINAL = { 4003: "unavailable", 4004: "unavailable", 4010: "outdated" };

/** @type {Surroundings} */
const BROWSER = {
  dial: (address) => new WebSocket(address),
  random: Math.random,
  now_ms: () => performance.now(),
};

export class Connection {
  /** @type {State} */
  state = "idle";
  #address;
  #owner;
  #world;
  /** @type {WebSocket | null} */
  #socket = null;
  #attempt = 0; // counts attempts: what an abandoned one still delivers is recognised by its number
  #failures = 0;
  #rejections = 0;
  #not_before_ms = 0; // the server asked for this pause; no wake() shortens it
  #leaving = false; // the server has said bye
  #hint_s = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry_timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #ping_timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #answer_timer;

  /**
   * @param {string} address  ws: or wss:
   * @param {Owner} owner
   * @param {Surroundings} world
   */
  constructor(address, owner, world = BROWSER) {
    this.#address = address;
    this.#owner = owner;
    this.#world = world;
  }

  start() {
    if (this.state === "idle") void this.#connect();
  }

  /** The network or the page came back: connect now, or make sure that the socket still lives. */
  wake() {
    if (this.state === "open") return this.#ping();
    if (this.state !== "connecting" || this.#retry_timer === undefined) return;
    if (this.#world.now_ms() >= this.#not_before_ms) void this.#connect();
  }

  /** Give up this socket, whatever it believes of itself, and take another. */
  restart() {
    if (this.state === "open") this.#lost(0);
  }

  /**
   * Return whether the frame went into a welcomed socket; that is no promise that it arrives.
   * @param {ClientFrame} frame
   */
  send(frame) {
    if (this.state !== "open" || this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(frame));
    this.#postpone_ping();
    return true;
  }

  async #connect() {
    this.#drop();
    const attempt = ++this.#attempt;
    this.#become("connecting");
    /** @type {Hello} */
    let hello;
    try {
      hello = await this.#owner.greet(this.#rejections);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (error instanceof ChatUnavailable) return this.#end("unavailable");
      return this.#retry(error instanceof SessionDeferred ? error.retry_after_s : 0);
    }
    if (attempt === this.#attempt) this.#open(hello);
  }

  /** @param {Hello} hello */
  #open(hello) {
    /** @type {WebSocket} */
    let socket;
    try {
      socket = this.#world.dial(this.#address);
    } catch {
      return this.#lost(0); // the page's policy forbids it, or the browser is out of sockets
    }
    this.#socket = socket;
    this.#expect_answer();
    socket.onopen = () => {
      socket.send(JSON.stringify(hello));
      this.#expect_answer();
    };
    socket.onmessage = (event) => {
      if (!this.#leaving) clearTimeout(this.#answer_timer);
      const frame = parse_frame(event.data);
      if (frame !== null) this.#receive(frame);
    };
    socket.onclose = (event) => this.#lost(event.code);
  }

  /** @param {ServerFrame} frame */
  #receive(frame) {
    if (frame.t === "bye") {
      this.#leaving = true;
      this.#hint_s = frame.retry_after_s;
      clearTimeout(this.#answer_timer);
      this.#answer_timer = setTimeout(() => this.#lost(1012), GOODBYE_WITHIN_MS);
      return;
    }
    if (frame.t === "welcome") {
      this.#failures = 0;
      this.#rejections = 0;
      this.#become("open");
      this.#postpone_ping();
    }
    this.#owner.on_frame(frame);
  }

  /** @param {number} code */
  #lost(code) {
    this.#drop();
    const end = FINAL[code];
    if (end !== undefined) return this.#end(end);
    if (code === 4001) this.#rejections += 1;
    const floor_s = code === 4008 ? CROWDED_PAUSE_S : this.#hint_s;
    this.#hint_s = 0;
    this.#retry(floor_s);
  }

  /** @param {number} floor_s */
  #retry(floor_s) {
    this.#become("connecting");
    const ceiling_s = Math.min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** this.#failures);
    this.#failures += 1;
    this.#not_before_ms = this.#world.now_ms() + floor_s * 1000;
    // Full jitter: a restarted server must not meet all its visitors in one second.
    const pause_s = floor_s + this.#world.random() * ceiling_s;
    this.#retry_timer = setTimeout(() => void this.#connect(), pause_s * 1000);
  }

  /** @param {"unavailable" | "outdated"} state */
  #end(state) {
    this.#drop();
    this.#become(state);
  }

  #drop() {
    clearTimeout(this.#retry_timer);
    clearTimeout(this.#ping_timer);
    clearTimeout(this.#answer_timer);
    this.#retry_timer = undefined;
    this.#leaving = false;
    this.#attempt += 1;
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #ping() {
    if (this.send({ t: "ping" })) this.#expect_answer();
  }

  // Counted from our last frame, not theirs: the server closes on our silence, and a pong proves the way back.
  #postpone_ping() {
    clearTimeout(this.#ping_timer);
    this.#ping_timer = setTimeout(() => this.#ping(), PING_AFTER_MS);
  }

  #expect_answer() {
    if (this.#leaving) return;
    clearTimeout(this.#answer_timer);
    this.#answer_timer = setTimeout(() => this.#lost(0), ANSWER_WITHIN_MS);
  }

  /** @param {State} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#owner.on_state(state);
  }
}
