// Rows of the catalogue as the kernel sends them, and what is known of them here.

import { type Reply } from "./channel.ts";

export interface Question {
  text: string;
  filters: Record<string, (string | null)[]>;
  order: string;
}

/** An entry of the catalogue: values by field. */
export interface Row {
  readonly id: string;
  readonly name: string | null;
  readonly cls: string;
  readonly state: string | null;
  readonly tags: readonly string[];
  readonly size: number | null;
  readonly created: number | null;
  readonly modified: number | null;
  readonly revision: number;
  readonly error: string | null;
  /** Values of the store's own columns. */
  readonly columns: Readonly<Record<string, unknown>>;
}

/** The value that a row has in a column. */
export function valueOf(row: Row, key: string, own: boolean): unknown {
  return own ? row.columns[key] : row[key as keyof Row];
}

/** Most rows that are kept; those farthest from the newest window go first. */
const KEPT = 3000;

/** The rows of one question's answer, as far as they were fetched. */
export class Rows {
  private readonly rows = new Map<number, Row>();
  private readonly places = new Map<string, number>();
  /** How many there are; until the kernel has counted, how many there are at least. */
  count = 0;
  counted = false;
  words: string[] = [];
  /** IDs that a selected question covers. */
  readonly covered = new Set<string>();

  constructor(readonly question: Question) {}

  at(index: number): Row | undefined {
    return this.rows.get(index);
  }

  place(id: string): number | undefined {
    return this.places.get(id);
  }

  /** Take in the kernel's reply to a request for `limit` rows. */
  add(reply: Reply, limit: number): void {
    const { offset, rows } = reply as { offset: number; rows: Row[] };
    rows.forEach((row, i) => this.put(offset + i, row));
    (reply.matches as boolean[] | undefined)?.forEach((covered, i) => {
      const row = this.rows.get(offset + i);
      if (row && covered) this.covered.add(row.id);
    });
    const end = offset + rows.length;
    if (rows.length < limit && (rows.length > 0 || offset === 0)) this.count = end;
    else if (!this.counted) this.count = Math.max(this.count, end + (rows.length === limit ? limit : 0));
    this.words = reply.words ?? this.words;
    this.trim(offset);
  }

  put(index: number, row: Row): void {
    const old = this.rows.get(index);
    if (old && this.places.get(old.id) === index) this.places.delete(old.id);
    this.rows.set(index, row);
    this.places.set(row.id, index);
  }

  /** The first and the end of what is missing between two places, or null. */
  missing(first: number, end: number): [number, number] | null {
    while (first < end && this.rows.has(first)) first++;
    while (end > first && this.rows.has(end - 1)) end--;
    return first < end ? [first, end] : null;
  }

  values(): IterableIterator<Row> {
    return this.rows.values();
  }

  private trim(near: number): void {
    if (this.rows.size <= KEPT) return;
    const places = [...this.rows.keys()].sort((a, b) => Math.abs(b - near) - Math.abs(a - near));
    for (const place of places.slice(0, places.length - KEPT / 2)) {
      const row = this.rows.get(place);
      if (row && this.places.get(row.id) === place) this.places.delete(row.id);
      this.rows.delete(place);
    }
  }
}
