// @ts-check
/**
 * What outlives the page: a few strings per channel. Where the browser blocks storage they live in memory,
 * and the chat works until the page is closed.
 */

/**
 * @typedef {object} Store
 * @property {(name: string) => string | null} get
 * @property {(name: string, value: string) => void} set
 * @property {(name: string) => void} remove
 * @property {() => string[]} names
 * @property {(listener: (name: string | null) => void) => void} on_foreign_change
 *   another tab changed this name, or (null) everything
 */

/**
 * @param {string} channel
 * @param {() => Storage} area  reading `window.localStorage` itself may throw
 * @returns {Store}
 */
export function open_store(channel, area = () => window.localStorage) {
  const prefix = `shopbell:${channel}:`;
  /** @type {Map<string, string>} what the browser refused to keep */
  const memory = new Map();

  /**
   * @template T
   * @param {(storage: Storage) => T} act
   * @param {T} otherwise
   */
  function attempt(act, otherwise) {
    try {
      return act(area());
    } catch {
      return otherwise;
    }
  }

  return {
    get: (name) => memory.get(name) ?? attempt((storage) => storage.getItem(prefix + name), null),
    set(name, value) {
      const kept = attempt((storage) => (storage.setItem(prefix + name, value), true), false);
      if (kept) memory.delete(name);
      else memory.set(name, value);
    },
    remove(name) {
      memory.delete(name);
      attempt((storage) => storage.removeItem(prefix + name), undefined);
    },
    names() {
      const kept = attempt((storage) => Object.keys(storage), []);
      const ours = kept.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
      return [...new Set([...ours, ...memory.keys()])];
    },
    on_foreign_change(listener) {
      window.addEventListener("storage", (event) => {
        if (event.key === null) listener(null);
        else if (event.key.startsWith(prefix)) listener(event.key.slice(prefix.length));
      });
    },
  };
}
