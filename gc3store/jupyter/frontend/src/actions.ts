// What one can do with objects: buttons and keys, and what follows the kernel's answer.

import { type Channel, type Refusal, type Reply } from "./channel.ts";
import { type Column } from "./columns.ts";
import { type Details, type Found } from "./details.ts";
import { confirmDialog, loadDialog, variableDialog } from "./dialogs.ts";
import { button, h, set } from "./dom.ts";
import { grouped } from "./format.ts";
import { type Row } from "./rows.ts";
import { type Grid } from "./grid.ts";
import { type Selection, type Target } from "./selection.ts";
import { type Offers } from "./setup.ts";
import { type Toasts } from "./toasts.ts";

/** What actions need of the browser. */
export interface ActionsHost {
  readonly channel: Channel;
  readonly columns: readonly Column[];
  readonly details: Details;
  readonly grid: Grid;
  readonly offers: Offers;
  readonly root: HTMLElement;
  readonly selection: Selection;
  readonly stage: HTMLElement;
  readonly toasts: Toasts;
  /** Ask for the details of an object again. */
  detail(id: string): void;
  refresh(): void;
  /** Note that something else is selected. */
  selected(): void;
  /** Note that other columns are shown. */
  shownChanged(): void;
}

export class Actions {
  readonly buttons: HTMLButtonElement[];
  private readonly needing: { button: HTMLButtonElement; single: boolean }[] = [];
  private found: Found | null = null;

  constructor(private readonly app: ActionsHost) {
    const make = (label: string, name: "load" | "replace" | "remove" | "edit", title: string, single: boolean, act: () => void): HTMLButtonElement => {
      const it = button(label, { icon: name, title, cls: "act" }, () => {
        if (it.getAttribute("aria-disabled") !== "true") act();
      });
      this.needing.push({ button: it, single });
      return it;
    };
    const load = make("Load…", "load", "Load into a variable (Enter)", false, () => this.load(this.target("mouse")));
    const replace = make("Replace…", "replace", "Replace by the value of a variable", true, () => this.replace());
    const rename = make("Rename", "edit", "Rename (F2)", true, () => this.rename());
    const remove = make("Remove", "remove", "Remove, with undo (Del)", false, () => this.remove(this.target("mouse")));
    const save = button("Save…", { icon: "save", title: "Save a variable of the notebook", cls: "act" }, () => this.save());
    const { offers } = app;
    this.buttons = [save, ...(offers.list ? [load, replace, ...(offers.label ? [rename] : []), remove] : [])];
  }

  /**
   * What an action is about: what is selected, else the focused row. A key pressed on a row
   * outside a selection made by one plain click means that row.
   */
  private target(by: "key" | "mouse"): Target | null {
    const { selection, grid } = this.app;
    const row = grid.rows.at(grid.focus);
    const chosen = selection.size > 0;
    if (chosen && (by === "mouse" || selection.deliberate || (row && selection.has(row, grid.rows)))) return selection.target;
    return row ? { ids: [row.id] } : null;
  }

  /** The one row that an action for one is about. */
  private single(by: "key" | "mouse"): Row | null {
    const target = this.target(by);
    if (!target || target.query || target.ids.length !== 1) return null;
    const { rows } = this.app.grid;
    return rows.at(rows.place(target.ids[0]!) ?? -1) ?? null;
  }

  draw(): void {
    const some = this.target("mouse") !== null;
    const one = this.single("mouse") !== null;
    for (const { button: it, single } of this.needing) set(it, { "aria-disabled": (single ? one : some) ? null : "true" });
  }

  key(event: KeyboardEvent, row: Row | undefined): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "Enter" && !event.shiftKey) this.load(this.target("key"));
    else if (event.key === "Delete") this.remove(this.target("key"));
    else if (event.key === "F2" && row) this.edit(row, event.shiftKey ? "tags" : "name");
    else return false;
    return true;
  }

  // -- loading and saving -------------------------------------------------------------

  load(target: Target | null): void {
    if (!target) return;
    this.app.channel.ask("suggest", { target }).then(
      (reply) => loadDialog(this.place(), target, reply),
      (error: Refusal) => this.refused(error),
    );
  }

  save(): void {
    const { app } = this;
    const naming = app.offers.metadata;
    variableDialog(this.place(), { title: "Save a variable", verb: "Save", naming }, (variable, name) =>
      app.channel.ask("save", name === null ? { variable } : { variable, name }),
    );
  }

  replace(): void {
    const row = this.single("mouse");
    if (!row) return;
    const hint = `${row.id} will hold a copy of the variable's value; what it holds now is gone.`;
    variableDialog(this.place(), { title: `Replace ${row.id} by…`, verb: "Replace", naming: false, hint }, (variable) =>
      this.app.channel.ask("replace", { id: row.id, variable, revision: row.revision }),
    );
  }

  preview(id: string, how: "inspect" | "preview"): void {
    this.app.channel.ask(how, { id }).then(
      (reply) => {
        this.found = { id, text: reply.preview, code: reply.code, facts: reply.facts ?? [] };
        this.app.detail(id);
      },
      (error: Refusal) => this.refused(error),
    );
  }

  showDetail(detail: Reply, id: string): void {
    const row = detail.row as Row;
    const focused = this.app.grid.rows.at(this.app.grid.focus);
    if (this.app.details.id !== id && focused?.id === this.app.details.id && focused?.id !== id && this.app.grid.rows.place(id) !== undefined) return;
    this.app.details.show(row, detail, this.found?.id === id ? this.found : null);
  }

  // -- removing -----------------------------------------------------------------------

  remove(target: Target | null, confirmed?: number): void {
    if (!target) return;
    const { app } = this;
    app.channel.ask("remove", confirmed === undefined ? { target } : { target, confirmed }).then(
      (reply) => {
        if (typeof reply.confirm === "number") {
          const n = grouped(reply.confirm);
          const back = reply.undo ? "You can undo this for a while." : "This cannot be undone.";
          confirmDialog(this.place(), `Remove ${n} objects?`, back, `Remove ${n} objects`, () => this.remove(target, reply.confirm));
          return;
        }
        if (app.selection.all) app.selection.clear();
        else app.selection.forget(target.ids);
        app.selected();
        this.done(reply);
      },
      (error: Refusal) => this.refused(error),
    );
  }

  private undo(token: number): void {
    this.app.channel.ask("undo", { token }).then(
      (reply) => {
        this.app.toasts.show({ text: reply.message });
        this.app.refresh();
      },
      (error: Refusal) => this.refused(error),
    );
  }

  // -- labels -------------------------------------------------------------------------

  private rename(): void {
    const row = this.single("mouse");
    if (row) this.edit(row, "name");
  }

  /** Edit a name or tags in the row; shown at once, and taken back if the store refuses. */
  edit(row: Row, key: string): void {
    const { app } = this;
    const { grid } = app;
    if (!app.offers.label) return;
    const index = grid.rows.place(row.id);
    if (index === undefined) return;
    const column = app.columns.find((it) => it.key === key);
    if (column && !column.shown) {
      column.shown = true;
      app.shownChanged();
    }
    grid.go(index);
    const what = key === "name" ? "Name" : "Tags, separated by commas";
    const input = h("input", { class: "editor", "aria-label": what, autocomplete: "off", spellcheck: "false", maxlength: 1000 });
    const old = key === "name" ? (row.name ?? "") : row.tags.join(", ");
    input.value = old;
    const finish = grid.place(index, key, input);
    let ended = false;
    const end = (save: boolean, refocus: boolean): void => {
      if (ended) return;
      ended = true;
      finish();
      if (save && input.value !== old) this.relabel(row, index, key, input.value);
      grid.render();
      if (refocus) grid.take();
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true, true);
      else if (event.key === "Escape") end(false, true);
      else if (event.key === "Tab" && key === "name" && !event.shiftKey) {
        end(true, true);
        this.edit(app.grid.rows.at(index) ?? row, "tags");
      } else return;
      event.preventDefault();
    });
    input.addEventListener("blur", () => end(true, false));
    for (const kind of ["click", "dblclick", "mousedown"]) input.addEventListener(kind, (event) => event.stopPropagation());
    input.focus({ preventScroll: true });
    input.select();
  }

  private relabel(row: Row, index: number, key: string, value: string): void {
    const { app } = this;
    const { rows } = app.grid;
    const tags = [...new Set(value.split(",").map((tag) => tag.trim()).filter(Boolean))];
    const change = key === "name" ? { name: value.trim() } : { add: tags.filter((tag) => !row.tags.includes(tag)), drop: row.tags.filter((tag) => !tags.includes(tag)) };
    const put = (now: Row): void => {
      const place = rows.place(row.id) ?? index;
      if (rows.at(place)?.id === row.id) rows.put(place, now);
      app.grid.draw();
      if (app.details.id === row.id) app.detail(row.id);
    };
    if (key === "tags" && "add" in change && change.add!.length + change.drop!.length === 0) return;
    put(key === "name" ? { ...row, name: value.trim() || null } : { ...row, tags });
    app.channel.ask("label", { id: row.id, ...change }).then(
      (reply) => {
        put(reply.row as Row);
        this.say(reply);
      },
      (error: Refusal) => {
        put(row);
        this.refused(error);
      },
    );
  }

  // -- afterwards ---------------------------------------------------------------------

  private place(): { channel: Channel; stage: HTMLElement; done: (reply: Reply) => void; closed: () => void } {
    const { app } = this;
    return {
      channel: app.channel,
      stage: app.stage,
      done: (reply) => this.done(reply),
      closed: () => {
        if (app.root.querySelector(".root :focus") === null && app.grid.rows.count > 0) app.grid.take();
      },
    };
  }

  private done(reply: Reply): void {
    this.say(reply);
    this.found = null;
    if (reply.variables.length === 0 && this.app.offers.list) this.app.refresh();
  }

  private say(reply: Reply): void {
    const failures = (reply.failures as [string, string][]).map(([id, reason]) => `${id}: ${reason}`);
    if (reply.failed > failures.length) failures.push(`and ${grouped(reply.failed - failures.length)} more`);
    this.app.toasts.show({
      text: reply.message,
      code: reply.code,
      tone: reply.failed > 0 ? "bad" : "good",
      details: failures,
      ...(typeof reply.undo === "number" ? { undo: () => this.undo(reply.undo) } : {}),
    });
  }

  private refused(error: Refusal): void {
    this.app.toasts.show({ text: error.message, tone: "bad" });
  }
}
