import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** The modules, each layer above those that it may import. */
const LAYERS = [
  ["channel", "format", "scroll", "theme"],
  ["dom", "rows", "setup"],
  ["columns", "selection", "states", "toasts"],
  ["chips", "details", "dialogs", "grid", "menu"],
  ["actions"],
  ["app"],
  ["index"],
];

const layer = (module: string): number => LAYERS.findIndex((modules) => modules.includes(module));

test("modules import only from the layers below", () => {
  const modules = readdirSync("src").filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts")).map((name) => name.slice(0, -3));
  assert.deepEqual(modules, LAYERS.flat().sort());
  for (const module of modules) {
    const source = readFileSync(`src/${module}.ts`, "utf8");
    const imported = [...source.matchAll(/^(?:import|export) (?:[^"';]* from )?"\.\/(\w+)\.ts";/gm)].map((match) => match[1]!);
    assert.equal(imported.length, source.split('.ts"').length - 1, `${module}: an import is written in another way`);
    for (const other of imported) assert.ok(layer(other) < layer(module), `${module} imports ${other}`);
  }
});
