// What the kernel tells when the browser starts.

import { type Requests } from "./channel.ts";

/** What can be done with the store. */
export type Offers = Readonly<Record<"list" | "metadata" | "detail" | "label" | "undo" | "inspect", boolean>>;

export interface Setup {
  readonly store: string;
  readonly offers: Offers;
  readonly notes: string[];
  readonly columns: string[];
  readonly layout: [string, number, boolean][];
  readonly requests: Requests;
}
