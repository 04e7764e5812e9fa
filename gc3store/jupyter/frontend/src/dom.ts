// Making elements. Text from a store only ever becomes a text node.

import { highlighted, plain } from "./format.ts";

type Child = Node | string | null | undefined | false;
type Attributes = Record<string, string | number | boolean | null | undefined | ((event: any) => void)>;

/** Make an element. Attributes that are functions listen; `true` is an empty attribute. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes);
  append(element, children);
  return element;
}

function append(element: Element, children: Child[]): void {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

export function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Put new children in place of the old ones. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, children);
}

/** A text from a store: one line, its direction its own affair, matches marked. */
export function text(value: string, words: readonly string[] = []): HTMLElement {
  const parts = highlighted(plain(value), words);
  return h("bdi", {}, ...parts.map(([part, match]) => (match ? h("mark", {}, part) : part)));
}

const ICONS = {
  search: "M10.5 3a7.5 7.5 0 1 0 4.6 13.4l4.3 4.3 1.3-1.3-4.3-4.3A7.5 7.5 0 0 0 10.5 3m0 2a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11",
  refresh: "M17.7 6.3A8 8 0 1 0 19.7 14h-2.1A6 6 0 1 1 16.2 7.8L13 11h7V4z",
  columns: "M4 5v14h16V5zm2 2h3v10H6zm5 0h2.5v10H11zm4.5 0H18v10h-2.5z",
  load: "M5 19h14v2H5zM19 10h-4V3H9v7H5l7 7z",
  save: "M5 19h14v2H5zM5 10h4v7h6v-7h4l-7-7z",
  replace: "M7 7h10v3l4-4-4-4v3H5v6h2zm10 10H7v-3l-4 4 4 4v-3h12v-6h-2z",
  remove: "M6 19a2 2 0 0 0 2 2h8a2 2 0 0 0 2-2V7H6zm2-10h8v10H8zm7.5-5-1-1h-5l-1 1H5v2h14V4z",
  edit: "M3 17.2V21h3.8L17.8 9.9l-3.7-3.7zM5.9 19H5v-.9l9-9 .9.9zM20.7 5.6l-2.3-2.3a1 1 0 0 0-1.4 0l-1.8 1.8 3.7 3.7 1.8-1.8a1 1 0 0 0 0-1.4",
  copy: "M16 1H4v16h2V3h10zm3 4H8v18h12V5zm-1 16h-8V7h8z",
  close: "M19 6.4 17.6 5 12 10.6 6.4 5 5 6.4 10.6 12 5 17.6 6.4 19 12 13.4 17.6 19 19 17.6 13.4 12z",
  up: "m7 14 5-5 5 5z",
  down: "m7 10 5 5 5-5z",
  warning: "M1 21h22L12 2zm3.5-2L12 6l7.5 13zM11 10h2v5h-2zm0 6h2v2h-2z",
};

export type Icon = keyof typeof ICONS;

export function icon(name: Icon): SVGElement {
  return svg("0 0 24 24", [["path", { d: ICONS[name] }]], "icon");
}

export function svg(viewBox: string, shapes: [string, Record<string, string | number>][], cls: string): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const root = document.createElementNS(space, "svg");
  set(root, { viewBox, class: cls, "aria-hidden": "true" });
  for (const [tag, attributes] of shapes) {
    const shape = document.createElementNS(space, tag);
    set(shape, attributes);
    root.append(shape);
  }
  return root;
}

/** A button with an icon, a label, or both; with an icon alone the label is its name. */
export function button(
  label: string,
  options: { icon?: Icon; bare?: boolean; title?: string; cls?: string },
  click: (event: MouseEvent) => void,
): HTMLButtonElement {
  return h(
    "button",
    {
      type: "button",
      class: ["button", options.bare && "bare", options.cls].filter(Boolean).join(" "),
      title: options.title ?? (options.bare ? label : null),
      "aria-label": options.bare ? label : null,
      click,
    },
    options.icon && icon(options.icon),
    !options.bare && h("span", {}, label),
  );
}

/** Put a text on the clipboard. */
export async function copy(value: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    // No secure context or no permission: the older way, by a selection.
    const box = h("textarea", { class: "offscreen", "aria-hidden": "true" });
    box.value = value;
    const focused = (near.getRootNode() as ShadowRoot).activeElement as HTMLElement | null;
    near.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    focused?.focus({ preventScroll: true });
    return done;
  }
}
