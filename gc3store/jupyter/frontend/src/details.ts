// The details of one object, from what the store keeps beside it.

import { own, stateTone } from "./columns.ts";
import { type Reply } from "./channel.ts";
import { button, copy, fill, h, icon, text } from "./dom.ts";
import { ago, grouped, humanSize, moment, plain, plainLines } from "./format.ts";
import { type Row } from "./rows.ts";

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
  /** The store's own columns. */
  readonly columns: readonly string[];
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
    const facts: [string, Node | string | null][] = [
      ["Class", row.cls ? text(row.cls) : null],
      ["State", row.state === null ? null : h("span", {}, h("span", { class: `dot tone-${stateTone(row.state)}` }), text(row.state))],
      ["Size", typeof row.size === "number" && this.host.metadata ? sized(row.size) : null],
      ["Saved", when(row.modified)],
      ["First saved", row.created === row.modified ? null : when(row.created)],
      ["Revision", row.revision > 1 && this.host.metadata ? String(row.revision) : null],
      ["Tags", this.host.labels ? this.tags(row) : null],
      ...this.host.columns.map((name, i): [string, Node | null] => [plain(name), own(row.columns[i])[0] ?? null]),
    ];
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

function when(time: number | null): Node | null {
  return time === null ? null : h("time", { title: moment(time), datetime: new Date(time).toISOString() }, `${ago(time, Date.now())} (${moment(time)})`);
}

function sized(size: number): string {
  return size < 1000 ? `${size} byte${size === 1 ? "" : "s"}` : `${humanSize(size)} (${grouped(size)} bytes)`;
}
