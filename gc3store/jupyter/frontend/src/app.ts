// The browser as a whole: what is asked of the kernel, and what its parts do with the answers.

import { Actions, type ActionsHost } from "./actions.ts";
import { Channel, Latest, type Model, Refusal, type Reply } from "./channel.ts";
import { Chips } from "./chips.ts";
import { arrange, type Column, lookAt, moved, nextOrder, toSave } from "./columns.ts";
import { Details } from "./details.ts";
import { button, fill, h, icon, set } from "./dom.ts";
import { grouped, humanSize, plain } from "./format.ts";
import { Grid, type GridHost } from "./grid.ts";
import { columnsMenu } from "./menu.ts";
import { type Question, type Row, Rows } from "./rows.ts";
import { Selection } from "./selection.ts";
import { type Offers, type Setup } from "./setup.ts";
import { type State, stateView } from "./states.ts";
import { followTheme } from "./theme.ts";
import { Toasts } from "./toasts.ts";

const DEBOUNCE = 150;
const BUSY_AFTER = 500;
const POLL_EVERY = 5_000;
const WINDOW = 60;

export class App implements ActionsHost, GridHost {
  readonly channel: Channel;
  readonly selection = new Selection();
  readonly setup: Setup;
  readonly offers: Offers;
  readonly toasts = new Toasts();
  readonly grid: Grid;
  readonly details: Details;
  readonly actions: Actions;
  readonly stage = h("div", { class: "stage" });
  readonly root: HTMLElement;
  columns: Column[];
  question: Question;
  private readonly search: HTMLInputElement;
  private readonly hint = h("div", { class: "hint", role: "status" });
  private readonly status = h("div", { class: "status", role: "status", "aria-live": "polite" });
  private readonly pill: HTMLButtonElement;
  private readonly busy: HTMLElement;
  private readonly chips: Chips;
  private readonly main: HTMLElement;
  private readonly lanes: Record<"rows" | "count" | "facets" | "detail" | "total", Latest>;
  private state: HTMLElement | null = null;
  private coming: Rows | null = null;
  private total: number | null = null;
  private changeToken: string | null = null;
  private timers: number[] = [];
  private debounce = 0;
  private selecting = 0;
  private inView = true;
  private wantedId: string | null = null;
  private before: string | null = null;
  private refreshed: (() => void) | null = null;
  private readonly stops: (() => void)[] = [];

  constructor(
    private readonly model: Model,
    host: HTMLElement,
    shadow: ShadowRoot,
  ) {
    this.setup = model.get("_setup");
    this.offers = this.setup.offers;
    this.channel = new Channel(model, this.setup.requests);
    this.columns = arrange(this.setup.layout, this.setup.columns, this.setup.fields);
    this.question = this.fromModel();
    this.lanes = {
      rows: new Latest(this.channel, "rows", 2, false),
      count: new Latest(this.channel, "count"),
      facets: new Latest(this.channel, "facets"),
      detail: new Latest(this.channel, "detail"),
      total: new Latest(this.channel, "total"),
    };
    this.actions = new Actions(this);
    this.search = h("input", {
      class: "field",
      type: "text",
      placeholder: "Search ( / )",
      title: "Words of the ID, name, class or tags, and class:X  state:RUNNING  size:>1MB  saved:<7d",
      "aria-label": "Search",
      spellcheck: "false",
      autocomplete: "off",
      maxlength: 1000,
      input: () => this.typed(),
      keydown: (event: KeyboardEvent) => this.searchKey(event),
      focus: () => {
        this.before = this.grid.rows.at(this.grid.focus)?.id ?? null;
      },
    });
    this.search.value = this.question.text;
    this.chips = new Chips(
      this.setup.fields.filter(({ name }) => this.setup.facets.includes(name)),
      (field, value) => this.filter(field, value),
      () => this.clearAll(),
    );
    this.details = new Details({
      preview: (id, how) => this.actions.preview(id, how),
      show: (id) => this.showObject(id),
      edit: (row, key) => this.edit(row, key),
      labels: this.offers.label,
      metadata: this.offers.metadata || this.offers.detail,
      inspect: this.offers.inspect,
      fields: this.setup.fields,
    });
    this.grid = new Grid(this, new Rows(this.question), `Objects in ${plain(this.setup.store)}`);
    this.actions.draw();
    this.pill = button("", { cls: "pill", icon: "refresh" }, () => {
      this.grid.take(); // the button is about to go, the keyboard is not
      this.refresh();
    });
    this.pill.hidden = true;
    this.busy = h(
      "div",
      { class: "busy", role: "status" },
      h("span", { class: "spinner" }),
      h("span", { class: "words" }),
      button("Ask again", {}, () => this.channel.repeat()),
    );
    this.busy.hidden = true;
    const columnsButton = button("Columns", { icon: "columns", bare: true }, () => columnsMenu(this.stage, columnsButton, this));
    set(columnsButton, { "aria-haspopup": "dialog", "aria-expanded": "false" });
    const bar = h(
      "div",
      { class: "bar", role: "toolbar", "aria-label": "Browser" },
      h("div", { class: "search" }, icon("search"), this.search, this.hint),
      ...this.actions.buttons,
      h("span", { class: "gap" }),
      button("Refresh", { icon: "refresh", bare: true }, () => this.refresh()),
      columnsButton,
    );
    this.main = h("div", { class: "main" }, h("div", { class: "table" }, this.grid.element), this.details.element);
    this.stage.append(this.main, this.toasts.element);
    this.root = h(
      "div",
      { class: "root", keydown: (event: KeyboardEvent) => this.rootKey(event) },
      bar,
      this.chips.element,
      this.stage,
      h("div", { class: "foot" }, this.status, this.busy, this.pill, h("span", { class: "where", title: plain(this.setup.store) }, h("bdi", {}, plain(this.setup.store)))),
    );
    for (const note of this.setup.notes) this.root.insertBefore(h("div", { class: "notice" }, plain(note)), this.stage);
    shadow.append(this.root);
    this.begin(host);
  }

  close(): void {
    this.channel.close();
    this.grid.close();
    this.timers.forEach((timer) => window.clearInterval(timer));
    this.stops.forEach((stop) => stop());
  }

  private begin(host: HTMLElement): void {
    const resized = new ResizeObserver(([entry]) => this.root.classList.toggle("narrow", (entry?.contentRect.width ?? 999) < 720));
    resized.observe(this.root);
    const seen = new IntersectionObserver(([entry]) => (this.inView = entry?.isIntersecting ?? true));
    seen.observe(host);
    const height = (): void => this.root.style.setProperty("--height", `${this.model.get("height")}px`);
    const changed = (): void => this.modelChanged();
    this.model.on("change:height", height);
    for (const name of ["query", "filters", "order"]) this.model.on(`change:${name}`, changed);
    this.stops.push(
      followTheme(host, this.root),
      () => resized.disconnect(),
      () => seen.disconnect(),
      () => this.model.off("change:height", height),
      () => ["query", "filters", "order"].forEach((name) => this.model.off(`change:${name}`, changed)),
    );
    height();
    this.grid.drawHead(this.question.order);
    this.timers.push(
      window.setInterval(() => this.watch(), 100),
      window.setInterval(() => this.poll(), POLL_EVERY),
      window.setInterval(() => this.grid.draw(), 30_000),
    );
    if (this.offers.list) this.ask(this.question);
    else this.unlisted();
  }

  // -- asking -------------------------------------------------------------------------

  /** Ask a new question; what is shown stays until its first rows are there. */
  private ask(question: Question, options: { locate?: string | null; keep?: boolean } = {}): void {
    this.question = question;
    const rows = new Rows(question);
    this.coming = rows;
    const { grid } = this;
    const [first] = options.keep ? grid.scroll.range(15) : [0];
    const from = grid.rows.place(options.locate ?? "") ?? grid.focus;
    const limit = options.keep ? WINDOW + 30 : WINDOW;
    const locate = options.locate ?? null;
    this.root.classList.add("asking");
    this.lanes.rows.ask(
      () => ({ query: question, offset: options.keep ? first : 0, limit, locate, from, ...this.matchQuery }),
      (reply) => {
        if (this.coming !== rows) return;
        rows.add(reply, limit);
        // Until the kernel has counted, the old count of the same objects is the best guess.
        const old = this.grid.rows;
        const same = old.question.text === question.text && JSON.stringify(old.question.filters) === JSON.stringify(question.filters);
        if (same && old.counted) {
          rows.count = Math.max(rows.count, old.count);
          rows.counted = true;
        }
        this.arrived(rows, reply, options, from);
        // Counting comes after, so as not to slow the rows down; what fits into one window is counted.
        const narrowed = question.text !== "" || Object.keys(question.filters).length > 0;
        if (narrowed && !options.keep && this.total !== null && reply.offset === 0 && reply.rows.length < limit) {
          rows.counted = true;
          this.grid.show(rows);
          this.drawStatus();
          this.nothing();
        } else this.count(rows);
        this.askFacets();
      },
      (error) => this.coming === rows && this.failed(error),
    );
    this.chips.draw(question);
  }

  private arrived(rows: Rows, reply: Reply, options: { locate?: string | null; keep?: boolean }, from: number): void {
    const { grid } = this;
    this.coming = null;
    this.root.classList.remove("asking");
    this.say(null);
    this.showHint(reply.hint);
    const holds = grid.holdsFocus;
    if (typeof reply.at === "number") {
      const at = options.locate ? (rows.place(options.locate) ?? reply.at) : reply.at;
      rows.count = Math.max(rows.count, at + 1);
      grid.scroll.count = rows.count;
      if (options.keep) {
        grid.focus += at - from;
        grid.scroll.to(grid.scroll.top + (at - from) * grid.scroll.row);
      } else {
        grid.focus = at;
        grid.scroll.to((at - 3) * grid.scroll.row);
      }
    } else if (!options.keep) {
      grid.focus = 0;
      grid.scroll.to(0);
    }
    if (lookAt(this.columns, rows.values())) {
      this.columns = [...this.columns];
      grid.drawHead(this.question.order);
    }
    grid.show(rows);
    grid.render();
    if (holds) grid.take();
    this.focused(grid.focus);
    this.drawStatus();
    this.refreshed?.();
    this.refreshed = null;
    if (rows.count === 0) this.nothing();
  }

  /** Count what there is; the rows do not wait for it. */
  private count(rows: Rows): void {
    this.lanes.count.ask(
      () => ({ query: rows.question }),
      (reply) => {
        if (rows !== this.grid.rows && rows !== this.coming) return;
        rows.counted = true;
        rows.count = reply.count;
        this.total = reply.total;
        this.changeToken = reply.changeToken;
        this.pill.hidden = true;
        if (rows === this.grid.rows) this.grid.show(rows);
        this.drawStatus();
        this.nothing();
      },
      () => undefined, // the rows say what is wrong
    );
    if (this.selection.all) this.recount();
  }

  private askFacets(): void {
    if (!this.offers.metadata) {
      this.chips.draw(this.question);
      return;
    }
    const { question } = this;
    this.chips.draw(question);
    this.lanes.facets.ask(
      () => ({ query: question }),
      (reply) => this.chips.take(reply, this.question),
      () => undefined,
    );
  }

  private get matchQuery(): { matchQuery?: Question } {
    return this.selection.all ? { matchQuery: this.selection.all } : {};
  }

  want(first: number, end: number): void {
    const rows = this.grid.rows;
    if (this.coming || rows.question !== this.question) return;
    const limit = Math.max(end - first, WINDOW);
    this.lanes.rows.ask(
      () => {
        // What is in view by the time the request leaves matters, not what was.
        const [a, b] = rows.missing(...this.grid.scroll.range(15)) ?? [first, end];
        return { query: rows.question, offset: a, limit: Math.max(b - a, Math.min(limit, WINDOW)), ...this.matchQuery };
      },
      (reply) => {
        if (rows !== this.grid.rows) return;
        rows.add(reply, reply.rows.length);
        this.say(null);
        this.grid.draw();
        if (rows.at(this.grid.focus)?.id !== this.details.id) this.focused(this.grid.focus);
      },
      (error) => rows === this.grid.rows && this.failed(error),
    );
  }

  refresh(then?: () => void): void {
    const { grid } = this;
    const [first, end] = grid.scroll.range();
    const inView = grid.focus >= first && grid.focus < end;
    const anchor = grid.rows.at(inView ? grid.focus : first) ?? null;
    this.refreshed = then ?? null;
    this.pill.hidden = true;
    this.ask(this.question, { locate: anchor?.id ?? null, keep: true });
  }

  private poll(): void {
    if (!this.offers.list || !this.inView || document.hidden || this.coming || this.lanes.count.busy || this.channel.working > 0) return;
    const { question } = this;
    this.lanes.count.ask(
      () => ({ query: question }),
      (reply) => {
        if (question !== this.question || this.changeToken === null || reply.changeToken === this.changeToken) return;
        const more = reply.total - (this.total ?? reply.total);
        const words = more > 0 ? `${grouped(more)} new · refresh` : more < 0 ? `${grouped(-more)} gone · refresh` : "Changed · refresh";
        this.pill.querySelector("span")!.textContent = words;
        this.pill.hidden = false;
      },
      () => undefined,
    );
  }

  // -- what is asked ------------------------------------------------------------------

  private fromModel(): Question {
    return { text: this.model.get("query") ?? "", filters: { ...this.model.get("filters") }, order: this.model.get("order") ?? "" };
  }

  private modelChanged(): void {
    const question = this.fromModel();
    if (JSON.stringify(question) === JSON.stringify(this.question)) return;
    if (question.text !== this.question.text) this.search.value = question.text;
    this.ask(question);
    this.grid.drawHead(question.order);
  }

  private change(part: Partial<Question>, locate: string | null = null): void {
    const question = { ...this.question, ...part };
    this.ask(question, { locate });
    this.model.set("query", question.text);
    this.model.set("filters", question.filters);
    this.model.set("order", question.order);
    this.model.save_changes();
  }

  private typed(): void {
    window.clearTimeout(this.debounce);
    this.debounce = window.setTimeout(() => {
      if (this.search.value !== this.question.text) this.change({ text: this.search.value });
    }, DEBOUNCE);
  }

  private searchKey(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      window.clearTimeout(this.debounce);
      this.search.value = "";
      this.refreshed = () => this.grid.take();
      if (this.question.text !== "") this.change({ text: "" }, this.before);
      else this.grid.go(this.grid.focus);
    } else if (event.key === "ArrowDown" || event.key === "Enter") this.grid.go(this.grid.focus);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private filter(field: string, value: string | null): void {
    const old = this.question.filters[field] ?? [];
    const values = old.includes(value) ? old.filter((it) => it !== value) : [...old, value];
    const filters = { ...this.question.filters, [field]: values };
    if (values.length === 0) delete filters[field];
    this.change({ filters });
  }

  private clearAll(): void {
    this.search.value = "";
    this.change({ text: "", filters: {} });
    this.search.focus();
  }

  sort(key: string): void {
    this.change({ order: nextOrder(this.question.order, key) });
    this.grid.drawHead(this.question.order);
  }

  // -- columns ------------------------------------------------------------------------

  resized(): void {
    this.columns = [...this.columns];
    this.shownChanged();
  }

  move(key: string, before: string | null): void {
    this.columns = moved(this.columns, key, before);
    this.shownChanged();
  }

  reset(): void {
    this.columns = arrange([], this.setup.columns, this.setup.fields);
    this.shownChanged();
  }

  shownChanged(): void {
    this.columns = [...this.columns];
    this.grid.drawHead(this.question.order);
    this.channel.ask("layout", { columns: toSave(this.columns) }).catch(() => undefined);
  }

  // -- focus and selection ------------------------------------------------------------

  focused(index: number): void {
    const row = this.grid.rows.at(index);
    if (this.wantedId !== null && row?.id !== this.wantedId) this.wantedId = null;
    if (!row) {
      if (this.grid.rows.count === 0) this.details.nothing();
      return;
    }
    if (this.details.id !== row.id) this.details.show(row, null);
    this.detail(row.id, row);
    this.actions.draw();
  }

  /** Ask for the details of an object; the pane shows what the row tells meanwhile. */
  detail(id: string, row?: Row): void {
    this.lanes.detail.ask(
      () => ({ id }),
      (reply) => this.actions.showDetail(reply.detail, id),
      (error) => row && error.type !== "Disconnected" && this.details.show({ ...row, error: error.message }, { references: [], referenceCount: 0, origin: [], preview: null }),
    );
  }

  private showObject(id: string): void {
    const place = this.grid.rows.place(id);
    if (place !== undefined) this.grid.go(place);
    else this.detail(id);
  }

  selected(): void {
    this.drawStatus();
    this.actions.draw();
    this.grid.render();
    window.clearTimeout(this.selecting);
    this.selecting = window.setTimeout(() => {
      this.channel.ask("select", { target: this.selection.target }).catch(() => undefined);
      this.recount();
    }, 50);
  }

  private recount(): void {
    if (!this.selection.all) return;
    this.lanes.total.ask(
      () => ({ target: this.selection.target }),
      (reply) => {
        this.selection.recount(reply.count);
        this.drawStatus(reply.size);
        this.actions.draw();
      },
      () => undefined,
    );
  }

  everything(): void {
    this.selection.everything(this.grid.rows);
    this.selected();
  }

  range(from: number, to: number): void {
    const [first, end] = [Math.min(from, to), Math.max(from, to) + 1];
    const { rows } = this.grid;
    const ids: [string, number | null][] = [];
    for (let index = first; index < end; index++) {
      const row = rows.at(index);
      if (!row) break;
      ids.push([row.id, row.size]);
    }
    if (ids.length === end - first) {
      this.selection.exactly(ids);
      this.selected();
      return;
    }
    this.channel.ask("ids", { query: rows.question, offset: first, limit: end - first }).then(
      (reply) => {
        this.selection.exactly((reply.ids as string[]).map((id) => [id, rows.at(rows.place(id) ?? -1)?.size ?? null]));
        this.selected();
      },
      (error: Refusal) => this.toasts.show({ text: error.message, tone: "bad" }),
    );
  }

  open(row: Row): void {
    this.actions.load({ ids: [row.id] });
  }

  edit(row: Row, key: string): void {
    this.actions.edit(row, key);
  }

  key(event: KeyboardEvent, row: Row | undefined): boolean {
    return this.actions.key(event, row);
  }

  private rootKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const typing = target.tagName === "INPUT" || target.tagName === "SELECT" || target.tagName === "TEXTAREA";
    if (event.key === "/" && !typing) {
      event.preventDefault();
      this.search.focus();
      this.search.select();
    } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !typing) {
      if (this.toasts.undoNewest()) event.preventDefault();
    }
    event.stopPropagation();
  }

  // -- saying -------------------------------------------------------------------------

  private showHint(hint: Reply | null): void {
    fill(this.hint, hint && h("span", { title: plain(hint.message) }, h("bdi", {}, plain(hint.token)), " is left out: ", plain(hint.message)));
    set(this.search, { "aria-invalid": hint ? "true" : null });
  }

  drawStatus(size: number | null = this.selection.bytes): void {
    const { rows } = this.grid;
    const n = this.selection.size;
    const count = rows.counted ? grouped(rows.count) : "…";
    const total = this.total === null ? "…" : grouped(this.total);
    const whole = rows.counted && this.total === rows.count;
    const parts = [whole ? `${total} object${rows.count === 1 ? "" : "s"}` : `${count} of ${total}`];
    if (n > 0) parts.push(this.selection.all && n === rows.count ? `all ${grouped(n)} matching selected` : `${grouped(n)} selected`);
    if (n > 0 && size !== null && this.offers.metadata) parts.push(humanSize(size));
    const words = parts.join(" · ");
    if (this.status.textContent !== words) this.status.textContent = words;
  }

  /** Show something in place of rows, or rows again. */
  say(state: State | null): void {
    const shown = this.state?.dataset["what"];
    const what = state && `${state.kind} ${state.text}`;
    if (shown === (what ?? undefined)) return;
    this.state?.remove();
    this.state = null;
    if (state && what) {
      this.state = stateView(state);
      this.state.dataset["what"] = what;
      this.main.firstElementChild!.append(this.state);
    }
    this.root.classList.toggle("instead", state !== null);
    this.root.classList.toggle("alone", state?.kind === "empty" || state?.kind === "unlisted");
  }

  private nothing(): void {
    const { rows } = this.grid;
    if (this.coming || !rows.counted || rows.count > 0) return;
    this.details.nothing();
    const asked = this.question.text !== "" || Object.keys(this.question.filters).length > 0;
    if (asked) this.say({ kind: "nothing", title: "Nothing matches", text: "No object in this store is like that.", action: ["Clear all", () => this.clearAll()] });
    else {
      this.say({
        kind: "empty",
        title: "Nothing is stored here yet",
        text: "Save a variable of this notebook, or keep an object in a cell:",
        code: 'store.save(obj, name="my first object")',
        action: ["Save a variable…", () => this.actions.save()],
      });
    }
  }

  private unlisted(): void {
    this.status.textContent = "Objects cannot be listed";
    this.say({
      kind: "unlisted",
      title: "This store has no list",
      text: "It loads what it is asked for by its ID.",
      input: ["Load…", (id) => this.actions.load({ ids: [id] })],
    });
  }

  private failed(error: Refusal): void {
    this.coming = null;
    this.root.classList.remove("asking");
    const locked = /lock/i.test(error.message);
    const title = error.type === "Disconnected" ? "Not connected" : locked ? "The store is locked" : "The store cannot be read";
    this.say({ kind: "error", title, text: error.message, action: ["Try again", () => this.refresh()] });
  }

  /** Say that the kernel is busy, or at work, when it has not answered for a while. */
  private watch(): void {
    this.channel.ping();
    const waiting = this.channel.waiting > BUSY_AFTER;
    const working = this.channel.working > BUSY_AFTER;
    const searching = this.coming !== null && this.question.text !== "";
    const words = !waiting
      ? working ? "Working…" : ""
      : searching ? "Still searching: the kernel is busy, or goes through all objects" : "Kernel busy: this continues when it is free";
    if (this.busy.hidden === (waiting || working)) this.busy.hidden = !(waiting || working);
    const place = this.busy.querySelector(".words")!;
    if (words && place.textContent !== words) place.textContent = words;
    (this.busy.lastElementChild as HTMLElement).hidden = !waiting;
  }
}
