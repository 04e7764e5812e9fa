// The columns of the table: which there are, in which order, and what a cell shows.

import { h, icon, text } from "./dom.ts";
import { ago, grouped, humanSize, moment, plain, shortClass } from "./format.ts";
import { type Row, valueOf } from "./rows.ts";
import { type Field, type Setup } from "./setup.ts";

export interface Column {
  readonly key: string;
  readonly label: string;
  readonly kind: string;
  /** As the user wants it, in pixels; 0 is as it fits. */
  width: number;
  readonly natural: number;
  readonly least: number;
  shown: boolean;
  /** Whether it is one of the store's own. */
  readonly own: boolean;
  /** Whether all that was seen in it are numbers. */
  numeric: boolean;
}

export type Saved = [key: string, width: number, shown: boolean][];

export const NARROWEST = 40;
const WIDEST_NAME = 320;

/** The columns of a store in the order and width last used; what is new comes last. */
export function arrange(saved: Saved, known: Setup["columns"], fields: readonly Field[]): Column[] {
  const byName = new Map(fields.map((field) => [field.name, field]));
  const columns = known.map(([key, shown]): Column => {
    const { title, kind, width } = byName.get(key)!;
    const natural = width || Math.min(160, Math.max(84, 34 + 8 * title.length)); // the title, and an arrow
    const { give, numeric } = format(key, kind);
    return { key, label: title, kind, width: 0, natural, least: natural - give, shown, own: kind === "own", numeric };
  });
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

/** Note which of the store's own columns hold numbers; tells whether that is news. */
export function lookAt(columns: Column[], rows: Iterable<Row>): boolean {
  let news = false;
  const seen = [...rows];
  for (const column of columns) {
    if (!column.own) continue;
    const values = seen.map((row) => row.columns[column.key]).filter((value) => value !== null && value !== undefined);
    const numeric = values.length > 0 && values.every((value) => typeof value === "number");
    if (values.length === 0 || numeric === column.numeric) continue;
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

/** How the values of a field are shown. */
interface Format {
  /** Pixels that its column gives where not all columns fit. */
  readonly give: number;
  readonly numeric: boolean;
  cell(value: any, row: Row, words: readonly string[], now: number): Node[];
}

const STRING: Format = { give: 9, numeric: false, cell: (value, _row, words) => [text(value, words)] };

const BY_KIND: Record<string, Format> = {
  bytes: {
    give: 2,
    numeric: true,
    cell: (size) => (typeof size === "number" ? [h("span", { title: `${grouped(size)} bytes` }, humanSize(size))] : []),
  },
  integer: { give: 4, numeric: true, cell: (value) => [document.createTextNode(String(value))] },
  own: { give: 0, numeric: false, cell: own },
  strings: { give: 20, numeric: false, cell: (values: string[], _row, words) => values.map((value) => h("span", { class: "tag" }, text(value, words))) },
  time: {
    give: 4,
    numeric: false,
    cell: (when, _row, _words, now) => [h("time", { title: moment(when), datetime: new Date(when).toISOString() }, ago(when, now))],
  },
};

const BY_FIELD: Record<string, Format> = {
  cls: { ...STRING, give: 30, cell: (cls, _row, words) => [text(shortClass(cls), words)] },
  name: {
    ...STRING,
    give: 44,
    cell: (value, row, words) => {
      const name = value === null ? h("span", { class: "none" }, "–") : text(value, words);
      return row.error === null ? [name] : [h("span", { class: "broken", title: plain(row.error) }, icon("warning")), name];
    },
  },
  state: { ...STRING, give: 2, cell: (state) => [h("span", { class: `dot tone-${stateTone(state)}` }), text(state)] },
};

function format(key: string, kind: string): Format {
  return (kind === "own" ? undefined : BY_FIELD[key]) ?? BY_KIND[kind] ?? STRING;
}

/** What a cell shows. */
export function cell(row: Row, column: Column, words: readonly string[], now: number): Node[] {
  const value = valueOf(row, column.key, column.own);
  if ((value === null || value === undefined) && column.key !== "name") return [];
  return format(column.key, column.kind).cell(value, row, words, now);
}

/** A value of one of the store's own columns. */
export function own(value: unknown): Node[] {
  if (typeof value !== "number") return [text(String(value))];
  return [h("span", { title: String(value) }, Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5))))];
}
