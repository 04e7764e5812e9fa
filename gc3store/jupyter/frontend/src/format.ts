// How values read: sizes, times, and text that others wrote.

/** A number of bytes as people write it: 999 B, 4.2 kB, 537 MB. */
export function humanSize(size: number): string {
  if (size < 1000) return `${Math.floor(size)} B`;
  for (const unit of ["kB", "MB", "GB", "TB", "PB"]) {
    size /= 1000;
    if (size < 999.5) return `${size < 9.95 ? size.toFixed(1) : size.toFixed(0)} ${unit}`;
  }
  return `${size.toFixed(0)} PB`;
}

const UNITS: [number, string][] = [
  [31557600, "y"],
  [2629800, "mo"],
  [604800, "w"],
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
];

/** How long ago a moment was: "3 min ago". Moments to come (clocks differ) are "just now". */
export function ago(when: number, now: number): string {
  const seconds = (now - when) / 1000;
  for (const [length, unit] of UNITS) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  }
  return "just now";
}

/** A moment in full, in the reader's own time zone. */
export function moment(when: number): string {
  return new Date(when).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** A count with separators, the same in every locale: 1,000,000. */
export function grouped(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

// Directional overrides and embeddings make a text read otherwise than it is; control
// characters are invisible. Both are shown as a replacement character.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A text from a store, fit for showing on one line. */
export function plain(text: string): string {
  return text.replace(/\s*[\t\n\r]\s*/g, " ").replace(UNSEEN, "\ufffd");
}

/** The same for a text of several lines. */
export function plainLines(text: string): string {
  return text.replace(/\r\n?/g, "\n").replace(UNSEEN, "\ufffd");
}

/** The class without its module. */
export function shortClass(cls: string): string {
  return cls.slice(cls.lastIndexOf(".") + 1);
}

/** The parts of a text, and whether each matches one of the words. */
export function highlighted(text: string, words: readonly string[]): [string, boolean][] {
  const sought = words.filter((word) => word !== "").map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (sought.length === 0) return [[text, false]];
  const parts: [string, boolean][] = [];
  let end = 0;
  for (const match of text.matchAll(new RegExp(sought.join("|"), "giu"))) {
    if (match.index > end) parts.push([text.slice(end, match.index), false]);
    end = match.index + match[0].length;
    parts.push([match[0], true]);
  }
  if (end < text.length || parts.length === 0) parts.push([text.slice(end), false]);
  return parts;
}
