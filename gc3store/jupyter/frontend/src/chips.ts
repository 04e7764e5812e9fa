// Filters that are one click away: the classes and states there are, with their counts.

import { type Reply } from "./channel.ts";
import { button, fill, h, set } from "./dom.ts";
import { stateTone } from "./columns.ts";
import { grouped, plain, shortClass } from "./format.ts";
import { type Question } from "./rows.ts";
import { type Field } from "./setup.ts";

type Value = string | null;

export class Chips {
  readonly element = h("div", { class: "chips" });
  private counts: Record<string, { values: [Value, number][]; more: number }> = {};

  constructor(
    private readonly facets: readonly Field[],
    private readonly toggle: (field: string, value: Value) => void,
    private readonly clear: () => void,
  ) {}

  take(reply: Reply, question: Question): void {
    this.counts = reply.facets;
    this.draw(question);
  }

  draw(question: Question): void {
    const held = (this.element.getRootNode() as ShadowRoot).activeElement as HTMLElement | null;
    const key = held && this.element.contains(held) ? held.dataset["chip"] : undefined;
    const groups = this.facets.map(({ name: field, title: label }) => {
      const { values = [], more = 0 } = this.counts[field] ?? {};
      const pressed = question.filters[field] ?? [];
      // A pressed chip stays, also when nothing has its value any more.
      const all: [Value, number][] = [...values];
      for (const value of pressed) if (!all.some(([it]) => it === value)) all.push([value, 0]);
      if (pressed.length === 0 && (all.length === 0 || (all.length === 1 && all[0]![0] === null))) return null;
      return h(
        "div",
        { class: "group", role: "group", "aria-label": label },
        h("span", { class: "fine" }, label),
        ...all.map(([value, n]) => this.chip(field, value, n, pressed.includes(value))),
        more > 0 && h("span", { class: "fine" }, `+${grouped(more)}`),
      );
    });
    const active = question.text !== "" || Object.values(question.filters).some((values) => values.length > 0);
    fill(this.element, active && button("Clear all", { cls: "clear", icon: "close" }, () => this.clear()), ...groups);
    if (key !== undefined) {
      const again = [...this.element.querySelectorAll<HTMLElement>("[data-chip]")].find((it) => it.dataset["chip"] === key);
      (again ?? this.element.querySelector<HTMLElement>("button"))?.focus();
    }
  }

  private chip(field: string, value: Value, n: number, pressed: boolean): HTMLElement {
    const words = value === null ? "none" : field === "cls" ? shortClass(value) : value;
    const chip = h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": pressed ? "true" : "false",
        title: value === null ? `Without ${field}` : plain(value),
        click: () => this.toggle(field, value),
      },
      field === "state" && value !== null && h("span", { class: `dot tone-${stateTone(value)}` }),
      h("bdi", { class: value === null ? "none" : null }, plain(words)),
      h("span", { class: "count" }, grouped(n)),
    );
    set(chip, { "data-chip": `${field} ${value}` });
    return chip;
  }
}
