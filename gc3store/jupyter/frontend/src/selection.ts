// Which objects are selected: some, by ID, or all that match a question but some.

import { type Question, type Row, type Rows } from "./rows.ts";

export type Target = { ids: string[]; query?: Question };

export class Selection {
  /** The selected IDs with the sizes of their objects; with a `query`, those left out of it. */
  private ids = new Map<string, number | null>();
  private query: Question | null = null;
  private matching = 0;
  /** Where a range begins. */
  anchor = 0;
  /** Whether rows were picked one by one or as a range, not by a plain click. */
  deliberate = false;

  get size(): number {
    return this.query ? Math.max(0, this.matching - this.ids.size) : this.ids.size;
  }

  /** Bytes of what is selected, where all sizes are known here. */
  get bytes(): number | null {
    if (this.query) return null;
    let sum = 0;
    for (const size of this.ids.values()) {
      if (size === null) return null;
      sum += size;
    }
    return sum;
  }

  /** The question all of whose answers are selected, but some. */
  get all(): Question | null {
    return this.query;
  }

  has(row: Row, rows: Rows): boolean {
    return this.query ? rows.covered.has(row.id) && !this.ids.has(row.id) : this.ids.has(row.id);
  }

  clear(): void {
    this.ids.clear();
    this.query = null;
    this.deliberate = false;
  }

  only(row: Row): void {
    this.clear();
    this.ids.set(row.id, row.size);
  }

  toggle(row: Row, rows: Rows): void {
    this.deliberate = true;
    // A row that another question shows is no exception of "all of that".
    if (this.query && !rows.covered.has(row.id)) return;
    if (this.ids.has(row.id)) this.ids.delete(row.id);
    else this.ids.set(row.id, row.size);
  }

  /** Select these IDs and nothing else. */
  exactly(ids: Iterable<[string, number | null]>): void {
    this.clear();
    this.deliberate = true;
    for (const [id, size] of ids) this.ids.set(id, size);
  }

  /** Select all `count` objects that answer a question. */
  everything(rows: Rows): void {
    this.clear();
    this.deliberate = true;
    this.query = { ...rows.question, order: "" };
    this.matching = rows.count;
    for (const row of rows.values()) rows.covered.add(row.id);
  }

  /** Take the number of selected objects from the kernel. */
  recount(count: number): void {
    if (this.query) this.matching = count + this.ids.size;
  }

  /** No longer select what is gone. */
  forget(ids: Iterable<string>): void {
    if (!this.query) for (const id of ids) this.ids.delete(id);
  }

  get target(): Target {
    const ids = [...this.ids.keys()];
    return this.query ? { ids, query: this.query } : { ids };
  }
}
