// @ts-check
/**
 * The loader a shop puts on its pages: a launcher button and, once needed, an iframe with the chat.
 *
 *     <script async src="https://HOST/widget/embed.js" data-channel="chn_..."></script>
 *
 * It never sees the conversation: token and messages stay in the iframe, on the origin this file came from.
 */
(() => {
  /** @typedef {{ mount(): void, open(): void, close(): void }} Widget */
  /** @typedef {{ open(channel?: string): void, close(channel?: string): void, add(script: HTMLScriptElement): void }} Namespace */

  const page = /** @type {Window & { Shopbell?: Namespace }} */ (window);

  /** @typedef {{ chat: string, open: string, close: string, unread: Partial<Record<string, string>> & { other: string } }} Texts */

  /** @type {Texts} */
  const ENGLISH = {
    chat: "Chat with the shop",
    open: "Open chat",
    close: "Close chat",
    unread: { one: "# unread message", other: "# unread messages" },
  };

  /** @type {Record<string, Texts>} */
  const TEXTS = {
    ru: {
      chat: "Чат с магазином",
      open: "Открыть чат",
      close: "Закрыть чат",
      unread: {
        one: "# непрочитанное сообщение",
        few: "# непрочитанных сообщения",
        other: "# непрочитанных сообщений",
      },
    },
    hr: {
      chat: "Razgovor s trgovinom",
      open: "Otvori razgovor",
      close: "Zatvori razgovor",
      unread: { one: "# nepročitana poruka", few: "# nepročitane poruke", other: "# nepročitanih poruka" },
    },
    de: {
      chat: "Chat mit dem Shop",
      open: "Chat öffnen",
      close: "Chat schließen",
      unread: { one: "# ungelesene Nachricht", other: "# ungelesene Nachrichten" },
    },
    fr: {
      chat: "Chat avec la boutique",
      open: "Ouvrir le chat",
      close: "Fermer le chat",
      unread: { one: "# message non lu", other: "# messages non lus" },
    },
    es: {
      chat: "Chat con la tienda",
      open: "Abrir el chat",
      close: "Cerrar el chat",
      unread: { one: "# mensaje sin leer", other: "# mensajes sin leer" },
    },
  };

  // One query for style and script: below it the panel covers the whole screen.
  const SMALL = "(max-width: 480px), (max-height: 480px)";

  const STYLE = `
    :host {
      all: initial !important;
      --accent: #0b6b58; --on-accent: #fff; --edge: #0000001f; --surface: #fff;
      color-scheme: light dark;
    }
    @media (prefers-color-scheme: dark) {
      :host { --accent: #57d3b4; --on-accent: #06281f; --edge: #ffffff2e; --surface: #14191b; }
    }
    @media print { :host { display: none !important; } }
    button, .panel { position: fixed; z-index: 2147483000; box-sizing: border-box; }
    button {
      right: calc(20px + env(safe-area-inset-right, 0px) + var(--slot, 0) * 68px);
      bottom: calc(20px + env(safe-area-inset-bottom, 0px));
      width: 56px; height: 56px; margin: 0; padding: 0;
      display: grid; place-items: center;
      border: 0; border-radius: 50%;
      background: var(--accent); color: var(--on-accent);
      box-shadow: 0 1px 2px #0003, 0 6px 20px #0003;
      cursor: pointer; touch-action: manipulation; -webkit-tap-highlight-color: transparent;
      transition: transform .15s ease;
    }
    button:hover { transform: translateY(-2px); }
    button:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
    svg { width: 28px; height: 28px; fill: none; stroke: currentColor; stroke-width: 2;
      stroke-linecap: round; stroke-linejoin: round; pointer-events: none; }
    .cross, [aria-expanded=true] .bubble, [aria-expanded=true] .badge { display: none; }
    [aria-expanded=true] .cross { display: block; }
    .badge {
      position: absolute; top: -4px; right: -4px; min-width: 22px; height: 22px; padding: 0 6px;
      box-sizing: border-box; border-radius: 11px; background: #b3261e; color: #fff;
      font: 600 13px/22px system-ui, sans-serif; text-align: center; pointer-events: none;
    }
    [hidden] { display: none !important; }
    .panel {
      right: calc(20px + env(safe-area-inset-right, 0px));
      bottom: calc(90px + env(safe-area-inset-bottom, 0px));
      width: 392px; height: min(640px, calc(100vh - 110px)); max-width: calc(100vw - 40px);
      overflow: hidden; border: 1px solid var(--edge); border-radius: 16px; background: var(--surface);
      box-shadow: 0 2px 6px #0000001f, 0 16px 48px #0000003d;
    }
    iframe { display: block; width: 100%; height: 100%; border: 0; color-scheme: light dark; }
    @supports (height: 1dvh) { .panel { height: min(640px, calc(100dvh - 110px)); } }
    @media ${SMALL} {
      .panel {
        inset: 0 0 auto 0; width: 100%; max-width: none; height: 100vh; border: 0; border-radius: 0;
        padding: env(safe-area-inset-top, 0px) env(safe-area-inset-right, 0px)
          env(safe-area-inset-bottom, 0px) env(safe-area-inset-left, 0px);
      }
      @supports (height: 1dvh) { .panel { height: 100dvh; } }
      [data-ready][aria-expanded=true] { display: none; }
      [aria-expanded=true] { z-index: 2147483001; }
    }
    @media (prefers-reduced-motion: reduce) { button { transition: none; } button:hover { transform: none; } }
    @media (forced-colors: active) {
      button { border: 2px solid ButtonText; } .badge { border: 1px solid ButtonText; } .panel { border: 1px solid CanvasText; }
    }`;

  /** @type {Map<string, Widget>} */
  const widgets = new Map();

  /**
   * @param {string} tag
   * @param {Record<string, string>} attributes
   * @param {Element[]} children
   */
  function svg(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** @param {ShadowRoot} root */
  function dress(root) {
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [sheet]; // not an inline style: passes any style-src
    } catch {
      const style = document.createElement("style"); // Safari before 16.4
      style.textContent = STYLE;
      root.append(style);
    }
  }

  // The page's own storage holds one bit: this visitor has opened the chat before, so look for unread lines at once.
  /** @param {string} key */
  function known(key) {
    try {
      return localStorage.getItem(key) !== null;
    } catch {
      return false; // storage is blocked
    }
  }

  /** @param {string} key */
  function remember(key) {
    try {
      localStorage.setItem(key, "1");
    } catch {
      // storage is blocked: unread badges wait for the next opening
    }
  }

  /**
   * @param {string} channel
   * @param {string} source  address of this file: the chat lives beside it
   * @param {string} locale
   * @returns {Widget}
   */
  function build(channel, source, locale) {
    const language = locale.slice(0, 2).toLowerCase();
    const texts = TEXTS[language] ?? ENGLISH;
    const plural = new Intl.PluralRules(texts === ENGLISH ? "en" : language);
    const address = new URL("frame", source);
    address.search = new URLSearchParams({ channel, locale }).toString();
    const key = `shopbell:${channel}:known`;
    const small = matchMedia(SMALL);

    const host = document.createElement("shopbell-chat");
    host.style.setProperty("--slot", String(widgets.size));
    const root = host.attachShadow({ mode: "open" });
    dress(root);

    const launcher = document.createElement("button");
    launcher.type = "button";
    launcher.setAttribute("aria-haspopup", "dialog");
    launcher.setAttribute("aria-controls", "panel");
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.setAttribute("aria-hidden", "true");
    launcher.append(
      svg("svg", { class: "bubble", viewBox: "0 0 24 24", "aria-hidden": "true" },
        svg("path", { d: "M12 4c4.7 0 8.5 3.1 8.5 7s-3.8 7-8.5 7c-1 0-2-.1-2.9-.4L4.5 20l1.1-3.6C4.3 15 3.5 13.1 3.5 11c0-3.9 3.8-7 8.5-7z" }),
        svg("path", { d: "M8.5 11h.01M12 11h.01M15.5 11h.01" })),
      svg("svg", { class: "cross", viewBox: "0 0 24 24", "aria-hidden": "true" },
        svg("path", { d: "M6 6l12 12M18 6L6 18" })),
      badge,
    );
    const panel = document.createElement("div");
    panel.id = "panel";
    panel.className = "panel";
    panel.hidden = true;
    root.append(launcher, panel);

    let opened = false;
    let loaded = false;
    let unread = 0;
    /** @type {HTMLIFrameElement | null} */
    let frame = null;
    /** @type {string | null} the page's own overflow while it must not scroll */
    let scrolling = null;

    function name() {
      badge.hidden = unread === 0;
      badge.textContent = unread > 99 ? "99+" : String(unread);
      launcher.setAttribute("aria-expanded", String(opened));
      const count = (texts.unread[plural.select(unread)] ?? texts.unread.other).replace("#", String(unread));
      launcher.setAttribute("aria-label", opened ? texts.close : unread ? `${texts.open}, ${count}` : texts.open);
    }

    /** @param {"hello" | "open" | "close"} type */
    function tell(type) {
      if (!loaded) return; // `hello` follows the load and says whether we are open
      frame?.contentWindow?.postMessage({ shopbell: 1, type, open: opened }, address.origin);
    }

    function load() {
      if (frame) return;
      frame = document.createElement("iframe");
      frame.title = texts.chat;
      frame.addEventListener("load", () => {
        loaded = true;
        tell("hello");
      });
      frame.src = address.href;
      panel.append(frame);
    }

    function fit() {
      const full = opened && small.matches;
      // A phone's keyboard shrinks only the visual viewport: keep the composer above it.
      const viewport = full && window.visualViewport?.scale === 1 ? window.visualViewport : null;
      panel.style.height = viewport ? `${viewport.height}px` : "";
      panel.style.top = viewport ? `${viewport.offsetTop}px` : "";
      const { style } = document.documentElement;
      if (full && scrolling === null) {
        scrolling = style.overflow;
        style.overflow = "hidden";
      } else if (!full && scrolling !== null) {
        style.overflow = scrolling;
        scrolling = null;
      }
    }

    const widget = {
      mount() {
        if (host.isConnected) return;
        document.body.append(host);
        if (known(key)) load();
      },
      open() {
        if (opened) return;
        for (const other of widgets.values()) other.close();
        opened = true;
        remember(key);
        load();
        panel.hidden = false;
        name();
        fit();
        frame?.focus({ preventScroll: true });
        tell("open");
      },
      close() {
        if (!opened) return;
        opened = false;
        const inside = document.activeElement === host;
        name();
        fit();
        if (inside) launcher.focus({ preventScroll: true });
        panel.hidden = true;
        tell("close");
      },
    };

    launcher.addEventListener("click", () => (opened ? widget.close() : widget.open()));
    root.addEventListener("keydown", (event) => {
      if (/** @type {KeyboardEvent} */ (event).key === "Escape") widget.close();
    });
    // Full screen is modal: focus that wanders to the covered page comes back.
    document.addEventListener("focusin", (event) => {
      if (opened && small.matches && event.target !== host) frame?.focus({ preventScroll: true });
    });
    window.visualViewport?.addEventListener("resize", fit);
    window.visualViewport?.addEventListener("scroll", fit);
    small.addEventListener("change", fit);
    window.addEventListener("message", (event) => {
      if (!frame || event.source !== frame.contentWindow || event.origin !== address.origin) return;
      const data = event.data;
      if (typeof data !== "object" || data === null || data.shopbell !== 1) return;
      if (data.type === "ready") launcher.dataset.ready = "";
      if (data.type === "open") widget.open();
      if (data.type === "close") widget.close();
      if (data.type === "unread" && Number.isSafeInteger(data.count) && data.count >= 0) {
        unread = data.count;
        name();
      }
    });

    name();
    if (document.body) widget.mount();
    else document.addEventListener("DOMContentLoaded", widget.mount);
    return widget;
  }

  /** @param {string | undefined} channel */
  const find = (channel) => (channel ? widgets.get(channel) : widgets.values().next().value);

  page.Shopbell ??= {
    open: (channel) => find(channel)?.open(),
    close: (channel) => (channel ? widgets.get(channel)?.close() : widgets.forEach((widget) => widget.close())),
    add(script) {
      const channel = script.dataset.channel ?? "";
      if (!/^[\w-]{1,80}$/.test(channel)) {
        console.warn("Shopbell: the script needs data-channel with the id of a web chat channel.");
        return;
      }
      const existing = widgets.get(channel);
      if (existing) return existing.mount(); // a page that swaps its body runs the script again
      widgets.set(channel, build(channel, script.src, script.dataset.locale || navigator.language || "en"));
    },
  };

  const namespace = page.Shopbell;
  const own = document.currentScript;
  if (own instanceof HTMLScriptElement) namespace.add(own);
  else document.querySelectorAll("script[data-channel][src*='/widget/embed.js']").forEach((script) => {
    namespace.add(/** @type {HTMLScriptElement} */ (script));
  });
})();
