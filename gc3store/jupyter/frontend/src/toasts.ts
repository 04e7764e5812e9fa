// Short messages at the bottom, each with what one may want to do next.

import { button, copy, h } from "./dom.ts";
import { plain } from "./format.ts";

/** How long a message stays; one that can be undone stays longer. */
const STAY = 8_000;
const STAY_FOR_UNDO = 20_000;

export interface Message {
  text: string;
  tone?: "good" | "bad";
  code?: string;
  details?: string[];
  undo?: () => void;
}

export class Toasts {
  readonly element = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
  /** What can be undone, the newest last; it outlives its message. */
  private undoable: { undo: () => void; toast: HTMLElement }[] = [];

  show(message: Message): void {
    const toast = h("div", { class: `toast ${message.tone ?? "good"}` });
    const { code, undo } = message;
    const copied = h("span", {}, "Copy as code");
    toast.append(
      h(
        "div",
        { class: "words" },
        h("bdi", {}, plain(message.text)),
        ...(message.details ?? []).map((line) => h("div", { class: "fine" }, h("bdi", {}, plain(line)))),
        code && h("code", { title: "The line of code that does the same" }, plain(code)),
      ),
    );
    if (undo) toast.append(button("Undo", { cls: "strong", title: "Undo (Ctrl+Z)" }, () => this.undo(toast)));
    if (code) {
      const copier = button("Copy as code", {}, () => {
        void copy(code, toast).then((done) => {
          copied.textContent = done ? "Copied" : "Select and copy it";
        });
      });
      copier.replaceChildren(copied);
      toast.append(copier);
    }
    toast.append(button("Dismiss", { icon: "close", bare: true }, () => this.drop(toast)));
    if (undo) this.undoable.push({ undo, toast });
    this.element.append(toast);
    while (this.element.children.length > 3) this.drop(this.element.firstElementChild as HTMLElement);
    // A message that is pointed at or in use stays.
    const wait = (): void => {
      window.setTimeout(
        () => {
          if (toast.matches(":hover, :focus-within")) wait();
          else this.drop(toast);
        },
        undo ? STAY_FOR_UNDO : STAY,
      );
    };
    wait();
  }

  /** Undo the newest thing that can be undone; tells whether there is one. */
  undoNewest(): boolean {
    const newest = this.undoable.at(-1);
    if (newest) this.undo(newest.toast);
    return newest !== undefined;
  }

  private undo(toast: HTMLElement): void {
    const entry = this.undoable.find((it) => it.toast === toast);
    this.undoable = this.undoable.filter((it) => it !== entry);
    this.drop(toast);
    entry?.undo();
  }

  private drop(toast: HTMLElement): void {
    toast.remove();
  }
}
