// @ts-check
/** Building DOM without markup: text stays text, whatever it contains, and a strict content policy is content. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * A picture that says nothing: its meaning is in text beside it.
 * @param {string} name  class
 * @param {string[]} paths  on a field of 24 by 24
 */
export function icon(name, ...paths) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", `icon ${name}`);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const drawing of paths) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", drawing);
    svg.append(path);
  }
  return svg;
}

/**
 * @param {string} label
 * @param {Record<string, string>} attributes
 * @param {() => void} on_click
 */
export function text_button(label, attributes, on_click) {
  const button = element("button", { type: "button", ...attributes }, label);
  button.addEventListener("click", on_click);
  return button;
}

/**
 * Write only what differs: an untouched node is not announced again.
 * @param {Node} node
 * @param {string} words
 */
export function set_text(node, words) {
  if (node.textContent !== words) node.textContent = words;
}
