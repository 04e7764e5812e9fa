// Dialogs inside the widget: load as, save a variable, replace by one, confirm.

import { type Channel, type Refusal, type Reply } from "./channel.ts";
import { button, fill, h, set } from "./dom.ts";
import { grouped, humanSize, plain } from "./format.ts";
import { type Target } from "./selection.ts";

/** A dialog over the widget: Escape and the scrim close it, Tab stays in it, focus returns. */
export class Dialog {
  readonly element: HTMLElement;
  private readonly before: HTMLElement | null;
  private entered = false; // Enter was pressed while an answer was waited for

  constructor(
    private readonly stage: HTMLElement,
    title: string,
    content: Node[],
    private readonly buttons: HTMLButtonElement[],
    private readonly closed: () => void,
  ) {
    this.before = (stage.getRootNode() as ShadowRoot).activeElement as HTMLElement | null;
    const box = h(
      "div",
      {
        class: "dialog",
        role: "dialog",
        "aria-modal": "true",
        "aria-label": title,
      },
      h("div", { class: "title", role: "heading", "aria-level": 2 }, title),
      ...content,
      h("div", { class: "buttons" }, button("Cancel", {}, () => this.close()), ...buttons),
    );
    this.element = h(
      "div",
      {
        class: "scrim",
        mousedown: (event: MouseEvent) => {
          if (event.target === this.element) {
            event.preventDefault();
            this.close();
          }
        },
        keydown: (event: KeyboardEvent) => this.pressed(event),
      },
      box,
    );
    stage.append(this.element);
    this.focusable()[0]?.focus();
  }

  close(): void {
    if (!this.element.isConnected) return;
    this.element.remove();
    if (this.before?.isConnected) this.before.focus({ preventScroll: true });
    this.closed();
  }

  /** What was asked has been answered: Enter pressed meanwhile counts now, if it was `meant`. */
  answered(meant = true): void {
    const entered = this.entered;
    this.entered = false;
    if (entered && meant && this.element.isConnected) this.buttons.at(-1)?.click();
  }

  private focusable(): HTMLElement[] {
    const all = this.element.querySelectorAll<HTMLElement>("input, select, button, [tabindex='0']");
    return [...all].filter((it) => !(it as HTMLButtonElement).disabled && it.offsetParent !== null);
  }

  private pressed(event: KeyboardEvent): void {
    event.stopPropagation();
    this.entered = false;
    if (event.key === "Escape") {
      event.preventDefault();
      this.close();
    } else if (event.key === "Enter" && (event.target as HTMLElement).tagName !== "BUTTON") {
      event.preventDefault();
      this.entered = this.buttons.at(-1)?.disabled ?? false;
      this.buttons.at(-1)?.click();
    } else if (event.key === "Tab") {
      const all = this.focusable();
      const active = (this.stage.getRootNode() as ShadowRoot).activeElement as HTMLElement;
      const next = all[(all.indexOf(active) + (event.shiftKey ? -1 : 1) + all.length) % all.length];
      event.preventDefault();
      next?.focus();
    }
  }
}

interface Stage {
  channel: Channel;
  stage: HTMLElement;
  done(reply: Reply): void;
  closed(): void;
}

/** "Load as…": a variable name, checked while it is typed. */
export function loadDialog(at: Stage, target: Target, suggested: Reply): void {
  const count: number = suggested.count;
  const many = count > 1;
  const input = h("input", { class: "field", "aria-label": "Variable name", spellcheck: "false", autocomplete: "off" });
  input.value = suggested.variable;
  const note = h("div", { class: "note", role: "alert" });
  const into = h(
    "select",
    { class: "field", "aria-label": "Load into" },
    h("option", { value: "dict" }, "one dict, by ID"),
    h("option", { value: "variables" }, "numbered variables"),
  );
  let overwrite = false;
  let loading = false;
  let asked = 0;
  const confirm = button("Load", { cls: "strong" }, () => void load());
  const rename = button("Choose another name", {}, () => {
    input.focus();
    input.select();
  });
  rename.hidden = true;

  const say = (text: string, bad: boolean): void => {
    note.textContent = plain(text);
    note.classList.toggle("bad", bad);
    set(input, { "aria-invalid": bad });
  };
  const check = async (): Promise<void> => {
    const number = ++asked;
    const name = into.value === "variables" && many ? `${input.value}_1` : input.value;
    overwrite = false; // a consent is to the name that was asked about
    set(input, { "aria-busy": "true" });
    const reply = await at.channel.ask("check", { variable: name });
    if (number !== asked || loading) return;
    set(input, { "aria-busy": false });
    rename.hidden = true;
    if (!reply.valid) {
      confirm.disabled = true;
      label("Load");
      say(reply.reason, true);
    } else if (reply.exists) {
      confirm.disabled = false;
      overwrite = true;
      rename.hidden = false;
      label("Replace");
      say(`${name} exists and holds ${/^[aeiou]/i.test(reply.type) ? "an" : "a"} ${reply.type}. Replace it?`, false);
    } else {
      confirm.disabled = false;
      label("Load");
      say("", false);
    }
    dialog.answered(reply.valid && !reply.exists);
  };
  const label = (text: string): void => {
    confirm.querySelector("span")!.textContent = text;
  };
  const load = async (): Promise<void> => {
    confirm.disabled = loading = true;
    say("Loading…", false);
    try {
      const how = many ? into.value : "variable";
      const reply = await at.channel.ask("load", { target, variable: input.value, overwrite, into: how });
      dialog.close();
      at.done(reply);
    } catch (error) {
      confirm.disabled = loading = false;
      dialog.answered(false); // Enter pressed meanwhile was not meant for what is asked now
      if ((error as Refusal).type === "VariableExistsError") {
        overwrite = true;
        rename.hidden = false;
        label("Replace");
      }
      say((error as Refusal).message, true);
    }
  };
  input.addEventListener("input", () => void check());
  into.addEventListener("change", () => void check());
  const title = many ? `Load ${grouped(count)} objects as…` : `Load ${plain(suggested.id)} as…`;
  const dialog = new Dialog(
    at.stage,
    title,
    [
      h("label", { class: "line" }, h("span", {}, many && "Name" || "Variable"), input),
      ...(many ? [h("label", { class: "line" }, h("span", {}, "Into"), into)] : []),
      note,
    ],
    [rename, confirm],
    at.closed,
  );
  input.select();
  void check();
}

export type Variable = [name: string, type: string, size: number, shape: string];

/** The variables whose name or type contains `text`: the one of that name first, then those that begin with it. */
export function matching(variables: Variable[], text: string): Variable[] {
  const wanted = text.toLowerCase();
  const rank = ([name]: Variable): number => (name === text ? 0 : name.toLowerCase().startsWith(wanted) ? 1 : 2);
  return variables
    .filter(([name, type]) => `${name} ${type}`.toLowerCase().includes(wanted))
    .sort((a, b) => rank(a) - rank(b));
}

/** Pick a variable of the notebook; `choose` says what becomes of it. */
export function variableDialog(
  at: Stage,
  options: { title: string; verb: string; naming: boolean; hint?: string },
  choose: (variable: string, name: string | null) => Promise<Reply>,
): void {
  const list = h("div", { class: "picker", role: "listbox", "aria-label": "Variables", tabindex: 0 });
  const filter = h("input", { class: "field", placeholder: "Filter variables", "aria-label": "Filter variables", autocomplete: "off" });
  const name = h("input", { class: "field", "aria-label": "Name in the store", autocomplete: "off" });
  const note = h("div", { class: "note", role: "alert" }, "Looking at the notebook's variables…");
  let all: Variable[] = [];
  let shown: Variable[] = [];
  let at_ = 0;
  let named = false;
  const confirm = button(options.verb, { cls: "strong" }, () => void act());
  confirm.disabled = true;

  const draw = (): void => {
    shown = matching(all, filter.value);
    at_ = Math.max(0, Math.min(at_, shown.length - 1));
    fill(
      list,
      ...shown.map(([variable, type, size, shape], i) =>
        h(
          "div",
          {
            class: "option",
            role: "option",
            id: `variable-${i}`,
            "aria-selected": i === at_ ? "true" : "false",
            click: () => pick(i),
            dblclick: () => void act(),
          },
          h("span", { class: "variable" }, plain(variable)),
          h("span", { class: "fine" }, plain(`${type} ${shape}`)),
          h("span", { class: "fine number" }, humanSize(size)),
        ),
      ),
    );
    set(list, { "aria-activedescendant": shown.length ? `variable-${at_}` : null });
    list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
    confirm.disabled = shown.length === 0;
    if (!named) name.value = shown[at_]?.[0] ?? "";
    if (all.length === 0) note.textContent = "This notebook has no variables yet: assign one in a cell.";
    else note.textContent = shown.length === 0 ? "No variable matches." : (options.hint ?? "");
    note.classList.remove("bad");
  };
  const pick = (i: number): void => {
    at_ = i;
    draw();
  };
  const steer = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    pick(at_ + step);
  };
  const act = async (): Promise<void> => {
    const variable = shown[at_]?.[0];
    if (variable === undefined) return;
    confirm.disabled = true;
    try {
      const reply = await choose(variable, options.naming && name.value && name.value !== variable ? name.value : null);
      dialog.close();
      at.done(reply);
    } catch (error) {
      confirm.disabled = false;
      note.textContent = plain((error as Refusal).message);
      note.classList.add("bad");
    }
  };
  filter.addEventListener("input", () => pick(0));
  filter.addEventListener("keydown", steer);
  list.addEventListener("keydown", steer);
  name.addEventListener("input", () => {
    named = name.value !== "";
  });
  const dialog = new Dialog(
    at.stage,
    options.title,
    [filter, list, ...(options.naming ? [h("label", { class: "line" }, h("span", {}, "Name"), name)] : []), note],
    [confirm],
    at.closed,
  );
  at.channel.ask("variables").then(
    (reply) => {
      all = reply.variables;
      draw();
      // Nobody has seen the list yet: only what was typed can say which variable is meant.
      dialog.answered(filter.value !== "" && (shown.length === 1 || shown[0]?.[0] === filter.value));
    },
    (error: Refusal) => {
      note.textContent = plain(error.message);
    },
  );
}

/** Ask before something that touches many. */
export function confirmDialog(at: { stage: HTMLElement; closed(): void }, title: string, text: string, verb: string, act: () => void): void {
  const confirm = button(verb, { cls: "danger" }, () => {
    dialog.close();
    act();
  });
  const dialog: Dialog = new Dialog(at.stage, title, [h("p", {}, text)], [confirm], at.closed);
}
