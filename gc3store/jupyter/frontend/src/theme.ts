// Light or dark, where no JupyterLab theme says which.

/** Whether what is behind an element is dark. */
function isDark(element: HTMLElement): boolean {
  for (let at: HTMLElement | null = element; at; at = at.parentElement) {
    const [r, g, b, alpha = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) ?? []).map(Number);
    if (r === undefined || g === undefined || b === undefined || alpha < 0.5) continue;
    return 0.299 * r + 0.587 * g + 0.114 * b < 128;
  }
  return getComputedStyle(document.documentElement).colorScheme === "dark";
}

/** Keep the attribute `data-theme` of `root` right; returns how to stop. */
export function followTheme(host: HTMLElement, root: HTMLElement): () => void {
  const look = (): void => {
    root.dataset["theme"] = isDark(host.parentElement ?? host) ? "dark" : "light";
  };
  // Attributes change before style sheets have arrived, so it looks again a little later.
  const later = (): void => {
    look();
    window.setTimeout(look, 300);
  };
  const observer = new MutationObserver(later);
  for (const element of [document.documentElement, document.body]) {
    observer.observe(element, { attributes: true, attributeFilter: ["class", "style", "data-theme", "data-jp-theme-light"] });
  }
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", later);
  later();
  return () => {
    observer.disconnect();
    media.removeEventListener("change", later);
  };
}
