// The columns of the table: which there are, in which order, and what a cell shows.

import { h, icon, text } from "./dom.ts";
import { ago, grouped, humanSize, moment, plain, shortClass } from "./format.ts";
import { type Row } from "./rows.ts";

export interface Column {
  readonly key: string;
  readonly label: string;
  /** As the user wants it, in pixels; 0 is as it fits. */
  width: number;
  readonly natural: number;
  readonly least: number;
  shown: boolean;
  /** Place among the store's own columns, for those. */
  readonly own?: number;
  /** Whether all that was seen in it are numbers. */
  numeric?: boolean;
}

export type Saved = [key: string, width: number, shown: boolean][];

const STANDARD: [key: string, label: string, natural: number, least: number, shown: boolean][] = [
  ["name", "Name", 160, 116, true],
  ["id", "ID", 105, 96, true],
  ["cls", "Class", 110, 80, true],
  ["state", "State", 120, 118, true],
  ["size", "Size", 70, 68, true],
  ["modified", "Saved", 96, 92, true],
  ["tags", "Tags", 130, 110, true],
  ["created", "Created", 96, 92, false],
  ["revision", "Revision", 80, 76, false],
];

export const NARROWEST = 40;
const WIDEST_NAME = 320;
const BEFORE_OWN = 4;
const NUMBERS = new Set(["size", "revision"]);
const LIMITED = new Set(["id", "cls"]); // all that a store without metadata has

/** The columns of a store in the order and width last used; what is new comes last. */
export function arrange(saved: Saved, own: string[], metadata: boolean): Column[] {
  const standard = STANDARD.filter(([key]) => metadata || LIMITED.has(key)).map(([key, label, natural, least, shown]) => ({
    key,
    label,
    width: 0,
    natural,
    least,
    shown,
  }));
  const users = own.map((key, i) => {
    const natural = Math.min(160, Math.max(84, 34 + 8 * key.length)); // the name, and an arrow
    return { key, label: key, width: 0, natural, least: natural, shown: true, own: i };
  });
  // What the user asked to be recorded is next to what it is about.
  const columns: Column[] = [...standard.slice(0, BEFORE_OWN), ...users, ...standard.slice(BEFORE_OWN)];
  const places = new Map(saved.map(([key], i) => [key, i]));
  for (const [key, width, shown] of saved) {
    const column = columns.find((it) => it.key === key);
    if (column) Object.assign(column, { width: width && Math.max(NARROWEST, width), shown });
  }
  columns.sort((a, b) => (places.get(a.key) ?? Infinity) - (places.get(b.key) ?? Infinity) || 0);
  if (!columns.some((column) => column.shown)) columns[0]!.shown = true;
  return columns;
}

export function toSave(columns: Column[]): Saved {
  return columns.map(({ key, width, shown }) => [key, Math.round(width), shown]);
}

/**
 * The widths of the shown columns in a table that is `room` wide.
 *
 * Where not all fit, those that were not resized give way a little, so that the last one in
 * view is in view as a whole; where there is more room, names spread.
 */
export function fitted(columns: Column[], room: number): number[] {
  const shown = columns.filter((column) => column.shown);
  const widths = shown.map((column) => column.width || column.natural);
  const least = shown.map((column) => column.width || column.least);
  let end = 0;
  for (let sum = 0; end < shown.length && sum + least[end]! <= room; end++) sum += least[end]!;
  const sum = (all: number[]): number => all.slice(0, end).reduce((total, width) => total + width, 0);
  const give = sum(widths) - sum(least);
  const over = sum(widths) - room;
  if (over > 0) return widths.map((width, i) => (i < end ? width - Math.ceil(((width - least[i]!) * over) / give) : width));
  const name = shown.findIndex((column, i) => column.key === "name" && !column.width && i < end);
  if (name >= 0) widths[name] = Math.min(WIDEST_NAME, widths[name]! - over);
  return widths;
}

/** Move a column to before another one, or to the end. */
export function moved(columns: Column[], key: string, before: string | null): Column[] {
  const column = columns.find((it) => it.key === key);
  if (!column || key === before) return columns;
  const others = columns.filter((it) => it !== column);
  const place = before === null ? others.length : others.findIndex((it) => it.key === before);
  others.splice(place < 0 ? others.length : place, 0, column);
  return others;
}

/** asc, then desc, then none. */
export function nextOrder(order: string, key: string): string {
  if (order === key) return `-${key}`;
  return order === `-${key}` ? "" : key;
}

export function isNumber(column: Column): boolean {
  return column.own === undefined ? NUMBERS.has(column.key) : column.numeric === true;
}

/** Note which of the store's own columns hold numbers; tells whether that is news. */
export function lookAt(columns: Column[], rows: Iterable<Row>): boolean {
  let news = false;
  const seen = [...rows];
  for (const column of columns) {
    if (column.own === undefined) continue;
    const values = seen.map((row) => row.columns[column.own!]).filter((value) => value !== null && value !== undefined);
    const numeric = values.length > 0 && values.every((value) => typeof value === "number");
    if (values.length === 0 || numeric === (column.numeric ?? false)) continue;
    column.numeric = numeric;
    news = true;
  }
  return news;
}

export function stateTone(state: string): string {
  if (/fail|error|lost|unknown|abort|kill/i.test(state)) return "bad";
  if (/run|submit|active/i.test(state)) return "busy";
  if (/termin|done|finish|complete|success|^ok$/i.test(state)) return "good";
  return "idle";
}

/** What a cell shows. */
export function cell(row: Row, column: Column, words: readonly string[], now: number): Node[] {
  if (column.own !== undefined) return own(row.columns[column.own]);
  switch (column.key) {
    case "name": {
      const name = row.name === null ? h("span", { class: "none" }, "–") : text(row.name, words);
      return row.error === null ? [name] : [h("span", { class: "broken", title: plain(row.error) }, icon("warning")), name];
    }
    case "id":
      return [text(row.id, words)];
    case "cls":
      return [text(shortClass(row.cls), words)];
    case "state":
      return row.state === null ? [] : [h("span", { class: `dot tone-${stateTone(row.state)}` }), text(row.state)];
    case "size":
      return row.size === null || typeof row.size !== "number" ? [] : [h("span", { title: `${grouped(row.size)} bytes` }, humanSize(row.size))];
    case "modified":
    case "created": {
      const when = row[column.key];
      return when === null ? [] : [h("time", { title: moment(when), datetime: new Date(when).toISOString() }, ago(when, now))];
    }
    case "tags":
      return row.tags.map((tag) => h("span", { class: "tag" }, text(tag, words)));
    case "revision":
      return [document.createTextNode(String(row.revision))];
    default:
      return [];
  }
}

/** A value of one of the store's own columns. */
export function own(value: unknown): Node[] {
  if (value === null || value === undefined) return [];
  if (typeof value !== "number") return [text(String(value))];
  return [h("span", { title: String(value) }, Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5))))];
}
