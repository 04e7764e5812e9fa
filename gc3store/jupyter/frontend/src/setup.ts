// What the kernel tells when the browser starts.

import { type Requests } from "./channel.ts";

/** What can be done with the store. */
export type Offers = Readonly<Record<"list" | "metadata" | "detail" | "label" | "undo" | "inspect", boolean>>;

/** A field of the catalogue, or one of the store's own columns, whose kind is `own`. */
export interface Field {
  readonly name: string;
  readonly title: string;
  readonly kind: string;
  /** In pixels; 0 is as wide as the title. */
  readonly width: number;
}

export interface Setup {
  readonly store: string;
  readonly offers: Offers;
  readonly notes: string[];
  /** In the order in which details show them. */
  readonly fields: readonly Field[];
  /** The columns of the table, in their order at first, each with whether it is shown. */
  readonly columns: [name: string, shown: boolean][];
  /** Fields whose values are counted and filtered by. */
  readonly facets: string[];
  readonly layout: [string, number, boolean][];
  readonly requests: Requests;
}
