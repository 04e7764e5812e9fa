// Entry of the module: what anywidget calls to show a browser.

import { App } from "./app.ts";
import { type Model } from "./channel.ts";
import { h } from "./dom.ts";
import css from "./style.css";

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  // The attribute keeps the notebook's shortcuts from keys pressed here; with an open shadow
  // root events seem to come from this element, wherever in it they do.
  const host = h("div", { class: "gc3store-browser", "data-lm-suppress-shortcuts": "true" });
  const shadow = host.attachShadow({ mode: "open" });
  const style = document.createElement("style");
  style.textContent = css;
  shadow.append(style);
  el.append(host);
  const app = new App(model, host, shadow);
  return () => {
    app.close();
    host.remove();
  };
}

export default { render };
