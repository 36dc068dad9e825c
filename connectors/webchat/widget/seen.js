// @ts-check
/**
 * What a person has really seen: the panel is open, the page is visible, and the bubble was at least half in view
 * for 500 ms without a break. Anything less is "delivered", not "read".
 */

const HOLD_MS = 500;
const SHARE = 0.5;
// Steps of 1/40: a bubble far taller than the log must still be noticed when it fills half of it.
const THRESHOLDS = Array.from({ length: 41 }, (_, step) => step / 40);

export class Seen {
  #log;
  #on_seen;
  #open = false;
  /** @type {Map<Element, string>} watched bubbles: message ids */
  #watched = new Map();
  /** @type {Set<Element>} */
  #in_view = new Set();
  /** @type {Map<Element, ReturnType<typeof setTimeout>>} */
  #timers = new Map();
  #observer = new IntersectionObserver((entries) => this.#look(entries), { threshold: THRESHOLDS });

  /**
   * @param {Element} log  the scrolling box around the bubbles
   * @param {(id: string) => void} on_seen  called once for each watched message
   */
  constructor(log, on_seen) {
    this.#log = log;
    this.#on_seen = on_seen;
    document.addEventListener("visibilitychange", () => this.#review());
  }

  /** @param {boolean} open */
  set_open(open) {
    this.#open = open;
    this.#review();
  }

  /**
   * Watch exactly these bubbles.
   * @param {ReadonlyMap<Element, string>} bubbles  message ids by bubble
   */
  watch(bubbles) {
    for (const bubble of this.#watched.keys()) if (!bubbles.has(bubble)) this.#forget(bubble);
    for (const [bubble, id] of bubbles) {
      if (!this.#watched.has(bubble)) this.#observer.observe(bubble);
      this.#watched.set(bubble, id);
    }
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #look(entries) {
    for (const entry of entries) {
      const fills = entry.intersectionRect.height >= this.#log.clientHeight * SHARE;
      if (entry.isIntersecting && (entry.intersectionRatio >= SHARE || fills)) this.#in_view.add(entry.target);
      else this.#in_view.delete(entry.target);
    }
    this.#review();
  }

  #review() {
    const looking = this.#open && document.visibilityState === "visible";
    for (const [bubble, timer] of this.#timers) {
      if (looking && this.#in_view.has(bubble)) continue;
      clearTimeout(timer);
      this.#timers.delete(bubble);
    }
    if (!looking) return;
    for (const bubble of this.#in_view) {
      if (this.#timers.has(bubble) || !this.#watched.has(bubble)) continue;
      this.#timers.set(bubble, setTimeout(() => this.#settle(bubble), HOLD_MS));
    }
  }

  /** @param {Element} bubble */
  #settle(bubble) {
    const id = this.#watched.get(bubble);
    this.#forget(bubble);
    if (id !== undefined) this.#on_seen(id);
  }

  /** @param {Element} bubble */
  #forget(bubble) {
    clearTimeout(this.#timers.get(bubble));
    this.#observer.unobserve(bubble);
    this.#timers.delete(bubble);
    this.#in_view.delete(bubble);
    this.#watched.delete(bubble);
  }
}
