// The table: an ARIA grid whose rows exist only while they are in view.

import { type Column, cell, fitted, NARROWEST } from "./columns.ts";
import { fill, h, icon, set } from "./dom.ts";
import { plain } from "./format.ts";
import { Scroll } from "./scroll.ts";
import { type Row, type Rows } from "./rows.ts";
import { type Selection } from "./selection.ts";

export const ROW_HEIGHT = 28;
const HEAD_HEIGHT = 30;
const SCROLLBAR = 15;

export interface GridHost {
  readonly selection: Selection;
  columns: Column[];
  /** Rows between two places are needed and not there. */
  want(first: number, end: number): void;
  focused(index: number): void;
  selected(): void;
  /** Select from the anchor to a row, of which not all need be here. */
  range(from: number, to: number): void;
  everything(): void;
  sort(key: string): void;
  resized(): void;
  move(key: string, before: string | null): void;
  key(event: KeyboardEvent, row: Row | undefined): boolean;
  open(row: Row): void;
  edit(row: Row, key: string): void;
}

interface Line {
  element: HTMLElement;
  /** What it shows, to tell whether it must be made anew. */
  row: Row | undefined;
  words: readonly string[];
  columns: Column[];
  minute: number;
}

export class Grid {
  readonly element: HTMLElement;
  readonly scroll = new Scroll(ROW_HEIGHT);
  focus = 0;
  rows: Rows;
  private readonly head: HTMLElement;
  private readonly body: HTMLElement;
  private readonly window: HTMLElement;
  private lines = new Map<number, Line>();
  private spare: Line[] = [];
  private frame = 0;
  private bar = 0;
  private headFocus = 0;
  private editing: number | null = null;
  /** Rows to whose end the keyboard went before they were counted: it goes on when they are. */
  private ending: { rows: Rows; range: boolean } | null = null;
  private readonly watcher: ResizeObserver;

  constructor(
    private readonly host: GridHost,
    rows: Rows,
    label: string,
  ) {
    this.rows = rows;
    this.head = h("div", { class: "head", role: "rowgroup" });
    this.window = h("div", { class: "window", role: "presentation" });
    this.body = h("div", { class: "body", role: "rowgroup" }, this.window);
    this.element = h(
      "div",
      { class: "grid", role: "grid", "aria-label": label, "aria-multiselectable": "true", tabindex: -1 },
      this.head,
      this.body,
    );
    this.element.addEventListener("scroll", () => this.scrolled());
    this.element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.element.addEventListener("keydown", (event) => this.pressed(event));
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("dblclick", (event) => this.doubleClicked(event));
    this.body.addEventListener("mousedown", (event) => {
      if (event.shiftKey) event.preventDefault(); // selects rows, not text
    });
    this.watcher = new ResizeObserver(() => {
      this.fit();
      this.draw();
    });
    this.watcher.observe(this.element);
    this.drawHead("");
  }

  close(): void {
    this.watcher.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** Show other rows, or the same ones counted anew. */
  show(rows: Rows): void {
    this.rows = rows;
    this.scroll.count = rows.count;
    this.focus = Math.max(0, Math.min(this.focus, rows.count - 1));
    this.scroll.to(this.scroll.top);
    this.draw();
    if (rows.counted && rows === this.ending?.rows) {
      const { range } = this.ending;
      this.go(rows.count - 1, this.holdsFocus);
      if (range) this.host.range(this.host.selection.anchor, rows.count - 1);
    }
  }

  /** Draw in the next frame. */
  draw(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.render());
  }

  /** Move the focus to a row and bring it into view; `take` gives it the keyboard too. */
  go(index: number, take = true): void {
    this.ending = null;
    this.focus = Math.max(0, Math.min(index, this.rows.count - 1));
    this.scroll.reveal(this.focus);
    this.render();
    if (take) this.take();
    this.host.focused(this.focus);
  }

  /** Give the keyboard to the focused row. */
  take(): void {
    (this.lines.get(this.focus)?.element ?? this.element).focus({ preventScroll: true });
  }

  get holdsFocus(): boolean {
    const active = (this.element.getRootNode() as ShadowRoot).activeElement;
    return active !== null && this.body.contains(active);
  }

  /** Put an editor into a cell; it ends by calling what this returns. */
  place(index: number, key: string, editor: HTMLElement): () => void {
    const line = this.lines.get(index);
    const column = this.host.columns.filter((it) => it.shown).findIndex((it) => it.key === key);
    const target = line?.element.children[column];
    if (!line || !target) return () => undefined;
    this.editing = index;
    fill(target, editor);
    target.classList.add("editing");
    return () => {
      this.editing = null;
      target.classList.remove("editing");
      this.stale(index);
      this.draw();
    };
  }

  /** Make a row anew when it is drawn next. */
  stale(index: number): void {
    const line = this.lines.get(index);
    if (line) line.minute = -1;
  }

  // -- drawing ----------------------------------------------------------------------

  drawHead(order: string): void {
    const shown = this.host.columns.filter((column) => column.shown);
    this.fit();
    set(this.element, { "aria-colcount": shown.length });
    this.headFocus = Math.min(this.headFocus, shown.length - 1);
    const held = (this.head.getRootNode() as ShadowRoot).activeElement;
    const holds = held !== null && this.head.contains(held);
    fill(
      this.head,
      h("div", { class: "row", role: "row", "aria-rowindex": 1 }, ...shown.map((column, i) => this.header(column, i, order))),
    );
    if (holds) this.header_(this.headFocus)?.focus({ preventScroll: true });
    this.draw();
  }

  /** Give the columns their widths. */
  private fit(): void {
    const widths = this.widths();
    this.element.style.setProperty("--columns", `${widths.map((width) => `${width}px`).join(" ")} 1fr`);
    this.element.style.setProperty("--width", `${widths.reduce((sum, width) => sum + width, 0)}px`);
  }

  private widths(): number[] {
    // The scrollbar comes with the rows; its room is kept, so that nothing moves then.
    return fitted(this.host.columns, this.element.offsetWidth - SCROLLBAR);
  }

  /** Let the columns keep the widths they have, for one is about to get another. */
  private fix(): void {
    const widths = this.widths();
    this.host.columns.filter((column) => column.shown).forEach((column, i) => (column.width = widths[i]!));
  }

  private header_(index: number): HTMLElement | undefined {
    return this.head.firstElementChild?.children[index] as HTMLElement | undefined;
  }

  private header(column: Column, index: number, order: string): HTMLElement {
    const direction = order === column.key ? "ascending" : order === `-${column.key}` ? "descending" : "none";
    const handle = h("span", { class: "handle", pointerdown: (event: PointerEvent) => this.resize(event, column) });
    const header = h(
      "div",
      {
        class: `cell ${column.numeric ? "number" : ""}`,
        role: "columnheader",
        tabindex: index === this.headFocus ? 0 : -1,
        "aria-sort": direction,
        "aria-colindex": index + 1,
        title: `Sort by ${column.label}. Drag to move, drag the edge to resize (keys: Ctrl+Shift+arrows, Shift+arrows).`,
        "data-key": column.key,
        pointerdown: (event: PointerEvent) => this.drag(event, column),
        keydown: (event: KeyboardEvent) => this.headPressed(event, column, index),
        focus: () => {
          this.headFocus = index;
        },
      },
      h("span", { class: "label" }, plain(column.label)),
      direction !== "none" && icon(direction === "ascending" ? "up" : "down"),
      handle,
    );
    return header;
  }

  render(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { scroll, rows } = this;
    scroll.view = Math.max(0, this.element.clientHeight - HEAD_HEIGHT);
    scroll.count = rows.count;
    scroll.to(scroll.top);
    this.body.style.height = `${scroll.height}px`;
    set(this.element, { "aria-rowcount": rows.counted ? rows.count + 1 : -1 });
    if (Math.abs(scroll.bar - this.bar) > 0.5 || Math.abs(this.element.scrollTop - this.bar) > 0.5) {
      this.element.scrollTop = scroll.bar;
      this.bar = this.element.scrollTop;
    }
    const [first, end] = scroll.range(2);
    const wanted = new Set<number>();
    for (let index = first; index < end; index++) wanted.add(index);
    // The focused row stays, also out of view: the keyboard must not lose its place.
    if (this.focus < rows.count) wanted.add(this.focus);
    for (const [index, line] of this.lines) {
      if (!wanted.has(index)) {
        this.lines.delete(index);
        this.spare.push(line);
        set(line.element, { "data-index": null, "data-id": null, "aria-rowindex": null, tabindex: -1 });
      }
    }
    const minute = Math.floor(Date.now() / 30_000);
    for (const index of wanted) this.line(index, index >= first && index < end, minute);
    while (this.spare.length > 30) this.spare.pop()!.element.remove();
    for (const line of this.spare) line.element.hidden = true;
    const missing = rows.missing(...scroll.range(15));
    if (missing && rows.missing(...scroll.range(1))) this.host.want(...missing);
  }

  private line(index: number, inView: boolean, minute: number): void {
    let line = this.lines.get(index);
    if (!line) {
      line = this.spare.pop();
      if (!line) {
        line = { element: h("div", { class: "row", role: "row" }), row: undefined, words: [], columns: [], minute: -1 };
        this.window.append(line.element);
      }
      line.minute = -1;
      this.lines.set(index, line);
    }
    const { element } = line;
    const row = this.rows.at(index);
    const selected = row !== undefined && this.host.selection.has(row, this.rows);
    element.hidden = false;
    element.style.transform = `translateY(${inView ? index * ROW_HEIGHT - this.scroll.top : -4 * ROW_HEIGHT}px)`;
    set(element, {
      "aria-rowindex": index + 2,
      "aria-selected": selected ? "true" : "false",
      "aria-busy": row === undefined,
      tabindex: index === this.focus ? 0 : -1,
      "data-index": index,
      "data-id": row?.id ?? null,
      class: `row ${row === undefined ? "waiting" : ""} ${index % 2 ? "odd" : ""}`,
    });
    const { columns } = this.host;
    if (this.editing === index) return;
    if (line.minute === minute && line.row === row && line.words === this.rows.words && line.columns === columns) return;
    Object.assign(line, { row, minute, words: this.rows.words, columns });
    const shown = columns.filter((column) => column.shown);
    const now = Date.now();
    fill(
      element,
      ...shown.map((column, i) =>
        h(
          "div",
          { class: `cell ${column.own ? "" : `of-${column.key}`} ${column.numeric ? "number" : ""}`, role: "gridcell", "aria-colindex": i + 1 },
          ...(row === undefined ? [h("span", { class: "bone" })] : cell(row, column, this.rows.words, now)),
        ),
      ),
    );
  }

  // -- scrolling --------------------------------------------------------------------

  private scrolled(): void {
    const at = this.element.scrollTop;
    if (Math.abs(at - this.bar) < 0.5) return;
    this.ending = null;
    this.bar = at;
    this.scroll.fromBar(at);
    this.draw();
  }

  private wheel(event: WheelEvent): void {
    if (!this.scroll.scaled || event.ctrlKey || event.deltaY === 0) return;
    // A shortened scrollbar would multiply each turn of the wheel.
    const unit = event.deltaMode === 1 ? ROW_HEIGHT : event.deltaMode === 2 ? this.scroll.view : 1;
    const before = this.scroll.top;
    this.scroll.to(before + event.deltaY * unit);
    if (this.scroll.top !== before) {
      this.ending = null;
      event.preventDefault();
      this.draw();
    }
  }

  // -- keyboard and mouse -----------------------------------------------------------

  private pressed(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (!this.body.contains(target) && target !== this.element) return;
    if (target.tagName === "INPUT") return;
    if (this.step(event) || this.host.key(event, this.rows.at(this.focus))) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  private step(event: KeyboardEvent): boolean {
    const { selection } = this.host;
    const last = this.rows.count - 1;
    const row = this.rows.at(this.focus);
    const command = event.ctrlKey || event.metaKey;
    if (event.altKey) return false;
    const places: Record<string, number> = {
      ArrowDown: this.focus + 1,
      ArrowUp: this.focus - 1,
      PageDown: this.focus + this.scroll.page,
      PageUp: this.focus - this.scroll.page,
      Home: 0,
      End: last,
    };
    const place = places[event.key];
    if (place !== undefined) {
      if (last < 0) return true;
      const from = this.focus;
      if (event.key === "ArrowUp" && from === 0 && !event.shiftKey) {
        this.header_(this.headFocus)?.focus();
        return true;
      }
      const to = Math.max(0, Math.min(place, last));
      if (event.shiftKey) {
        if (selection.size === 0 || (row && !selection.has(row, this.rows))) selection.anchor = from;
        this.go(to);
        this.host.range(selection.anchor, to);
      } else this.go(to);
      if (event.key === "End" && !this.rows.counted) this.ending = { rows: this.rows, range: event.shiftKey };
      return true;
    }
    if (event.key === " " && !command) {
      if (row) {
        selection.toggle(row, this.rows);
        selection.anchor = this.focus;
        this.host.selected();
      }
      return true;
    }
    if (event.key === "a" && command) {
      this.host.everything();
      return true;
    }
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      this.element.scrollLeft += event.key === "ArrowLeft" ? -60 : 60;
      return true;
    }
    if (event.key === "Escape" && selection.size > 0) {
      selection.clear();
      this.host.selected();
      return true;
    }
    return false;
  }

  private indexOf(event: Event): number | null {
    const line = (event.target as Element).closest<HTMLElement>("[data-index]");
    return line ? Number(line.dataset["index"]) : null;
  }

  private clicked(event: MouseEvent): void {
    const index = this.indexOf(event);
    if (index === null || this.editing === index) return;
    const row = this.rows.at(index);
    const { selection } = this.host;
    if (event.shiftKey) {
      this.go(index);
      this.host.range(selection.anchor, index);
      return;
    }
    selection.anchor = index;
    if (row) {
      if (event.ctrlKey || event.metaKey) selection.toggle(row, this.rows);
      else selection.only(row);
    }
    this.go(index);
    this.host.selected();
  }

  private doubleClicked(event: MouseEvent): void {
    const index = this.indexOf(event);
    const row = index === null ? undefined : this.rows.at(index);
    if (row && this.editing === null && !event.shiftKey && !event.ctrlKey && !event.metaKey) this.host.open(row);
  }

  private headPressed(event: KeyboardEvent, column: Column, index: number): void {
    const shown = this.host.columns.filter((it) => it.shown);
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step !== 0 && !event.altKey) {
      if (event.shiftKey && event.ctrlKey) {
        const before = step > 0 ? (shown[index + 2]?.key ?? null) : (shown[index - 1]?.key ?? null);
        this.headFocus = Math.max(0, Math.min(index + step, shown.length - 1));
        if (step > 0 || index > 0) this.host.move(column.key, before);
      } else if (event.shiftKey) {
        this.fix();
        column.width = Math.max(NARROWEST, column.width + 16 * step);
        this.host.resized();
      } else {
        this.headFocus = Math.max(0, Math.min(index + step, shown.length - 1));
        for (const [i, element] of [...(this.head.firstElementChild?.children ?? [])].entries()) {
          set(element, { tabindex: i === this.headFocus ? 0 : -1 });
        }
        this.header_(this.headFocus)?.focus();
      }
    } else if (event.key === "Enter" || event.key === " ") this.host.sort(column.key);
    else if (event.key === "ArrowDown") this.go(this.focus);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private resize(event: PointerEvent, column: Column): void {
    event.stopPropagation();
    event.preventDefault();
    const handle = event.currentTarget as HTMLElement;
    const start = event.clientX;
    this.fix();
    const width = column.width;
    handle.setPointerCapture(event.pointerId);
    const move = (moved: PointerEvent): void => {
      column.width = Math.max(NARROWEST, width + moved.clientX - start);
      this.fit();
    };
    const done = (): void => {
      handle.removeEventListener("pointermove", move);
      this.host.resized();
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", done, { once: true });
    handle.addEventListener("pointercancel", done, { once: true });
  }

  /** A click sorts; a drag moves the column. */
  private drag(event: PointerEvent, column: Column): void {
    if (event.button !== 0) return;
    const header = event.currentTarget as HTMLElement;
    const start = event.clientX;
    let dragging = false;
    header.setPointerCapture(event.pointerId);
    const others = [...(header.parentElement?.children ?? [])] as HTMLElement[];
    const before = (x: number): HTMLElement | undefined =>
      others.find((other) => x < other.getBoundingClientRect().left + other.offsetWidth / 2);
    const mark = (target: HTMLElement | undefined): void => {
      for (const other of others) other.classList.toggle("before", dragging && other === target);
    };
    const move = (moved: PointerEvent): void => {
      dragging ||= Math.abs(moved.clientX - start) > 5;
      header.classList.toggle("dragged", dragging);
      mark(before(moved.clientX));
    };
    const done = (ended: PointerEvent): void => {
      header.removeEventListener("pointermove", move);
      header.removeEventListener("pointercancel", done);
      header.removeEventListener("pointerup", done);
      header.classList.remove("dragged");
      mark(undefined);
      if (ended.type === "pointercancel") return;
      if (dragging) this.host.move(column.key, before(ended.clientX)?.dataset["key"] ?? null);
      else this.host.sort(column.key);
    };
    header.addEventListener("pointermove", move);
    header.addEventListener("pointerup", done);
    header.addEventListener("pointercancel", done);
  }
}
