// @ts-check
/** Links in plain text as DOM nodes: http, https and mailto, nothing else, and never through markup. */

const CANDIDATE = /https?:\/\/[^\s<>"]+|(?:mailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+/giu;
const PROTOCOLS = new Set(["http:", "https:", "mailto:"]);
// A link at the end of a sentence does not own the full stop.
const TRAILING = /[.,;:!?'"»”’…]+$/u;

/** @type {Record<string, string>} */
const BRACKETS = { ")": "(", "]": "[", "}": "{" };

/**
 * @param {string} words
 * @returns {Node[]}
 */
export function linkify(words) {
  /** @type {Node[]} */
  const nodes = [];
  let end = 0;
  for (const match of words.matchAll(CANDIDATE)) {
    const address = trim(match[0]);
    const href = safe_href(address);
    if (href === null) continue;
    nodes.push(document.createTextNode(words.slice(end, match.index)), link(href, address));
    end = match.index + address.length;
  }
  nodes.push(document.createTextNode(words.slice(end)));
  return nodes;
}

/**
 * Without closing marks that belong to the sentence around the address.
 * @param {string} address
 */
function trim(address) {
  let rest = address.replace(TRAILING, "");
  for (let last = rest.at(-1) ?? ""; BRACKETS[last] !== undefined; last = rest.at(-1) ?? "") {
    const opened = rest.split(BRACKETS[last] ?? "").length;
    if (opened >= rest.split(last).length) break; // the bracket is paired inside the address
    rest = rest.slice(0, -1).replace(TRAILING, "");
  }
  return rest;
}

/** @param {string} address */
function safe_href(address) {
  const full = /^(https?:|mailto:)/i.test(address) ? address : `mailto:${address}`;
  try {
    const url = new URL(full);
    return PROTOCOLS.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/**
 * @param {string} href
 * @param {string} label
 */
function link(href, label) {
  const anchor = document.createElement("a");
  anchor.href = href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer nofollow ugc";
  anchor.textContent = label;
  return anchor;
}
