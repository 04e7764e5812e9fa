// The details of one object, from what the store keeps beside it.

import { own, stateTone } from "./columns.ts";
import { type Reply } from "./channel.ts";
import { button, copy, fill, h, icon, text } from "./dom.ts";
import { ago, grouped, humanSize, moment, plain, plainLines } from "./format.ts";
import { type Row, valueOf } from "./rows.ts";
import { type Field } from "./setup.ts";

/** What was found in an object when the user asked for it. */
export interface Found {
  readonly id: string;
  readonly text: string;
  readonly code: string;
  readonly facts: [string, string][];
}

export interface DetailsHost {
  preview(id: string, how: "inspect" | "preview"): void;
  show(id: string): void;
  edit(row: Row, key: string): void;
  readonly labels: boolean;
  readonly metadata: boolean;
  readonly inspect: boolean;
  readonly fields: readonly Field[];
}

/** What an origin tells, in the order in which one asks. */
const ORIGIN: Record<string, string> = {
  notebook: "Notebook",
  cell: "Cell",
  source: "Source",
  user: "User",
  host: "Host",
  time: "Time",
  python: "Python",
  packages: "Packages",
};
const ASKED = Object.keys(ORIGIN);

/** What stands above the list of facts. */
const ABOVE = new Set(["id", "name"]);

export class Details {
  readonly element = h("section", { class: "details", "aria-label": "Details", tabindex: 0 });
  private row: Row | null = null;

  constructor(private readonly host: DetailsHost) {
    this.nothing();
  }

  nothing(): void {
    this.row = null;
    fill(this.element, h("p", { class: "fine" }, "Click a row to see more of the object."));
  }

  get id(): string | null {
    return this.row?.id ?? null;
  }

  /** Show a row at once, and the rest when the kernel has told it. */
  show(row: Row, detail: Reply | null, found: Found | null = null): void {
    const same = this.row?.id === row.id;
    const at = this.element.scrollTop;
    this.row = row;
    const copier = button("Copy ID", { icon: "copy", bare: true }, () => {
      void copy(row.id, this.element).then((done) => {
        copier.title = done ? "Copied" : "Copying was not allowed";
        copier.classList.toggle("done", done);
      });
    });
    const facts = this.host.fields
      .filter(({ name }) => !ABOVE.has(name))
      .map(({ name, title, kind }): [string, Node | null] => [plain(title), this.fact(row, name, kind)]);
    fill(
      this.element,
      h(
        "div",
        { class: "title" },
        row.name === null ? h("span", { class: "none" }, "unnamed") : text(row.name),
        this.host.labels && button("Rename", { icon: "edit", bare: true, title: "Rename (F2)" }, () => this.host.edit(row, "name")),
      ),
      h("div", { class: "id" }, h("code", {}, plain(row.id)), copier),
      row.error !== null && h("p", { class: "trouble" }, icon("warning"), text(row.error)),
      this.list(facts),
      ...this.rest(row, detail, found),
    );
    this.element.scrollTop = same ? at : 0;
  }

  /** What the details say of a field; null where that is nothing. */
  private fact(row: Row, name: string, kind: string): Node | null {
    const value = valueOf(row, name, kind === "own");
    if (name === "tags") return this.host.labels ? this.tags(row) : null;
    if (value === null || value === undefined || value === "") return null;
    if (name === "state") return h("span", {}, h("span", { class: `dot tone-${stateTone(row.state!)}` }), text(row.state!));
    if (name === "created" && value === row.modified) return null;
    if (name === "revision" && (row.revision === 1 || !this.host.metadata)) return null;
    if (kind === "time") return when(value as number);
    if (kind === "bytes") return typeof value === "number" && this.host.metadata ? text(sized(value)) : null;
    return kind === "own" ? own(value)[0]! : text(String(value));
  }

  private tags(row: Row): HTMLElement {
    const change = button("Edit tags", { icon: "edit", bare: true }, () => this.host.edit(row, "tags"));
    const tags = row.tags.map((tag) => h("span", { class: "tag" }, text(tag)));
    return h("span", { class: "tags" }, ...(tags.length > 0 ? tags : [h("span", { class: "none" }, "none")]), change);
  }

  private list(facts: [string, Node | string | null][]): HTMLElement {
    return h(
      "dl",
      {},
      ...facts.filter(([, value]) => value !== null).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    );
  }

  private rest(row: Row, detail: Reply | null, found: Found | null): (Node | false)[] {
    if (detail === null) return [h("div", { class: "fine pending" }, "…")];
    const links = (title: string, ids: string[], count: number): Node | false =>
      count > 0 &&
      h(
        "div",
        {},
        h("div", { class: "heading" }, `${title} (${grouped(count)})`),
        h(
          "div",
          { class: "links" },
          ...ids.map((id) => h("button", { type: "button", class: "link", click: () => this.host.show(id) }, text(id))),
          count > ids.length && h("span", { class: "fine" }, `and ${grouped(count - ids.length)} more`),
        ),
      );
    const shown = found?.text ?? (detail.preview as string | null);
    const ask = [
      this.host.inspect && button("Look inside", { title: "Shows what is in it, without running any of its code" }, () => this.host.preview(row.id, "inspect")),
      row.error === null && button("Load preview", { title: "Loads the object, which runs its code, and shows its repr()" }, () => this.host.preview(row.id, "preview")),
    ];
    const place = ([key]: [string, string]): number => (ASKED.includes(key) ? ASKED.indexOf(key) : ASKED.length);
    const origin = (detail.origin as [string, string][]).sort((a, b) => place(a) - place(b)).map(([key, value]): [string, Node] => [
      ORIGIN[key] ?? plain(key),
      key === "source" ? h("pre", {}, plainLines(value)) : text(value),
    ]);
    return [
      found !== null && found.facts.length > 0 && h("div", { class: "heading" }, "Job"),
      found !== null && found.facts.length > 0 && this.list(found.facts.map(([name, value]) => [plain(name), text(value)])),
      h("div", { class: "heading" }, "Preview"),
      shown !== null && h("pre", { class: "preview", tabindex: 0, "aria-label": "Preview" }, plainLines(shown)),
      found !== null && h("code", { class: "by" }, plain(found.code)),
      h("div", { class: "asks" }, ...ask),
      links("Refers to", detail.references, detail.referenceCount),
      links("Referred to by", detail.referrers ?? [], detail.referrerCount ?? 0),
      origin.length > 0 && h("div", { class: "heading" }, "Origin"),
      origin.length > 0 && this.list(origin),
    ];
  }
}

function when(time: number): Node {
  return h("time", { title: moment(time), datetime: new Date(time).toISOString() }, `${ago(time, Date.now())} (${moment(time)})`);
}

function sized(size: number): string {
  return size < 1000 ? `${size} byte${size === 1 ? "" : "s"}` : `${humanSize(size)} (${grouped(size)} bytes)`;
}
