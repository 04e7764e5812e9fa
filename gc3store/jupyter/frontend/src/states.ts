// What is shown in place of rows: an empty store, no match, an error, a store without a list.

import { button, h, svg } from "./dom.ts";
import { plain } from "./format.ts";

export interface State {
  kind: "empty" | "nothing" | "error" | "unlisted";
  title: string;
  text: string;
  code?: string;
  action?: [label: string, act: () => void];
  input?: [label: string, act: (value: string) => void];
}

/** An open shelf: what was put there stands on it, and there is room. */
function shelf(kind: State["kind"]): SVGElement {
  const line = { fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linejoin": "round", "stroke-linecap": "round" };
  const faint = { ...line, "stroke-dasharray": "4 5", opacity: 0.6 };
  const accent = { fill: "var(--accent)", opacity: 0.85 };
  const shapes: [string, Record<string, string | number>][] = [
    ["path", { ...line, d: "M14 12v84M126 12v84M14 52h112M14 92h112" }],
  ];
  if (kind === "error") shapes.push(["path", { ...line, stroke: "var(--bad)", "stroke-width": 3, d: "M70 18 88 48H52zM70 29v9M70 43v.5" }]);
  else if (kind === "nothing") shapes.push(["circle", { ...line, cx: 66, cy: 28, r: 11 }], ["path", { ...line, d: "m74 36 9 10" }]);
  else {
    shapes.push(
      ["rect", { ...accent, x: 26, y: 30, width: 16, height: 21, rx: 2 }],
      ["rect", { ...faint, x: 50, y: 26, width: 20, height: 25, rx: 2 }],
      ["circle", { ...faint, cx: 92, cy: 39, r: 11 }],
    );
  }
  shapes.push(
    ["path", { ...faint, d: "M30 91V68l10-6 10 6v23" }],
    ["rect", { ...faint, x: 62, y: 66, width: 24, height: 25, rx: 2 }],
    ["path", { ...faint, d: "M98 91V64h12v27" }],
  );
  return svg("0 0 140 108", shapes, "picture");
}

export function stateView(state: State): HTMLElement {
  const field = state.input && h("input", { class: "field", "aria-label": state.input[0], placeholder: "IsingRun.26", spellcheck: "false" });
  return h(
    "div",
    { class: `instead-of-rows ${state.kind}`, role: state.kind === "error" ? "alert" : "note" },
    shelf(state.kind),
    h("div", { class: "title" }, state.title),
    h("p", {}, plain(state.text)),
    state.code && h("code", {}, state.code),
    state.action && button(state.action[0], { cls: "strong" }, state.action[1]),
    state.input &&
      field &&
      h(
        "form",
        {
          submit: (event: Event) => {
            event.preventDefault();
            if (field.value.trim()) state.input?.[1](field.value.trim());
          },
        },
        field,
        button(state.input[0], { cls: "strong" }, () => field.value.trim() && state.input?.[1](field.value.trim())),
      ),
  );
}
