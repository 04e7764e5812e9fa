// The menu of columns: which are shown, and in which order.

import { type Column } from "./columns.ts";
import { button, fill, h, set } from "./dom.ts";
import { plain } from "./format.ts";

export interface ColumnsHost {
  columns: Column[];
  move(key: string, before: string | null): void;
  shownChanged(): void;
  reset(): void;
}

/** Open the menu below its button, or close it. */
export function columnsMenu(stage: HTMLElement, opener: HTMLElement, host: ColumnsHost): void {
  const open = stage.querySelector<HTMLElement & { shut?: () => void }>(".menu");
  if (open) {
    open.shut?.();
    return;
  }
  const menu: HTMLElement & { shut?: () => void } = h("div", { class: "menu", role: "dialog", "aria-label": "Columns" });
  const shut = (refocus = true): void => {
    menu.remove();
    set(opener, { "aria-expanded": "false" });
    stage.removeEventListener("pointerdown", away);
    if (refocus) opener.focus();
  };
  menu.shut = shut;
  const away = (event: Event): void => {
    if (!menu.contains(event.target as Node) && !opener.contains(event.target as Node)) shut(false);
  };
  const draw = (focus?: string): void => {
    const { columns } = host;
    fill(
      menu,
      ...columns.map((column, i) => {
        const box = h("input", {
          type: "checkbox",
          "data-focus": `${column.key} box`,
          change: () => {
            column.shown = box.checked;
            host.shownChanged();
            draw(`${column.key} box`);
          },
        });
        box.checked = column.shown;
        box.disabled = column.shown && columns.filter((it) => it.shown).length === 1;
        const shift = (label: string, name: "up" | "down", before: string | null, can: boolean): HTMLElement => {
          const it = button(`Move ${plain(column.label)} ${label}`, { icon: name, bare: true }, () => {
            host.move(column.key, before);
            draw(`${column.key} ${name}`);
          });
          it.disabled = !can;
          set(it, { "data-focus": `${column.key} ${name}` });
          return it;
        };
        return h(
          "div",
          { class: "item" },
          h("label", {}, box, plain(column.label)),
          shift("left", "up", columns[i - 1]?.key ?? null, i > 0),
          shift("right", "down", columns[i + 2]?.key ?? null, i < columns.length - 1),
        );
      }),
      button("Reset columns", {}, () => {
        host.reset();
        draw();
      }),
    );
    const wanted = [...menu.querySelectorAll<HTMLInputElement>("[data-focus]")];
    const at = wanted.find((it) => it.dataset["focus"] === focus && !it.disabled) ?? wanted.find((it) => !it.disabled);
    at?.focus();
  };
  menu.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") {
      event.preventDefault();
      shut();
    }
  });
  set(opener, { "aria-expanded": "true" });
  stage.append(menu);
  stage.addEventListener("pointerdown", away);
  draw();
}
