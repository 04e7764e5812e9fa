// Builds ../static/browser.js from src/, or with --tests the unit tests.
// The output depends on nothing but the sources and the locked esbuild.
import { build } from "esbuild";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const shared = { absWorkingDir: here, bundle: true, charset: "utf8", logLevel: "warning", loader: { ".css": "text" } };

if (process.argv.includes("--tests")) {
  await build({
    ...shared,
    entryPoints: readdirSync(join(here, "test")).map((name) => `test/${name}`),
    outdir: "node_modules/.cache/tests",
    outExtension: { ".js": ".mjs" },
    format: "esm",
    platform: "node",
  });
} else {
  // Style sheets are minified first, then put into the module as text.
  const css = { name: "css", setup(it) {
    it.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { outputFiles } = await build({ entryPoints: [path], minify: true, write: false, loader: { ".css": "css" } });
      return { contents: outputFiles[0].text.trim(), loader: "text" };
    });
  } };
  await build({
    ...shared,
    entryPoints: ["src/index.ts"],
    outfile: "../static/browser.js",
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none",
    plugins: [css],
  });
}
