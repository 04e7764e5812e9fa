import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { arrange, type Column, fitted, lookAt, moved, nextOrder, type Saved, toSave } from "../src/columns.ts";
import { matching, type Variable } from "../src/dialogs.ts";
import { type Row, Rows } from "../src/rows.ts";
import { Selection } from "../src/selection.ts";

const question = { text: "", filters: {}, order: "" };

function values(n: number): Row {
  return { id: `Run.${n}`, name: null, cls: "study.Run", state: null, tags: [], size: n, created: 0, modified: 0, revision: 1, error: null, columns: {} };
}

const WIDTHS: [name: string, kind: string, width: number][] = [
  ["id", "string", 105],
  ["name", "string", 160],
  ["cls", "string", 110],
  ["state", "string", 120],
  ["tags", "strings", 130],
  ["size", "bytes", 70],
  ["created", "time", 96],
  ["modified", "time", 96],
  ["revision", "integer", 80],
];

/** The columns of a store that has these of its own. */
function table(saved: Saved, ...own: string[]): Column[] {
  const fields = WIDTHS.map(([name, kind, width]) => ({ name, title: name, kind, width }));
  const shown = ["name", "id", "cls", "state", ...own, "size", "modified", "tags"];
  const columns = [...shown, "created", "revision"].map((name): [string, boolean] => [name, shown.includes(name)]);
  return arrange(saved, columns, [...fields, ...own.map((name) => ({ name, title: name, kind: "own", width: 0 }))]);
}

function rows(count: number): Rows {
  const it = new Rows(question);
  it.add({ offset: 0, rows: Array.from({ length: count }, (_, n) => values(n)) }, count + 1);
  return it;
}

test("until the kernel has counted, there are at least as many rows as came and a page more", () => {
  const it = new Rows(question);
  it.add({ offset: 0, rows: [values(0), values(1)] }, 2);
  assert.equal(it.count, 4);
  it.counted = true;
  it.count = 1000;
  it.add({ offset: 2, rows: [values(2), values(3)] }, 2);
  assert.equal(it.count, 1000);
  assert.deepEqual(it.missing(0, 6), [4, 6]);
  assert.equal(it.missing(0, 4), null);
});

test("a short answer is the end", () => {
  assert.equal(rows(3).count, 3);
  const none = new Rows(question);
  none.add({ offset: 0, rows: [] }, 60);
  assert.equal(none.count, 0);
});

test("memory stays bounded, and what is near stays", () => {
  const it = new Rows(question);
  it.counted = true;
  it.count = 1e6;
  for (let offset = 0; offset < 50_000; offset += 100) it.add({ offset, rows: Array.from({ length: 100 }, (_, n) => values(offset + n)) }, 100);
  assert.ok([...it.values()].length <= 3000);
  assert.equal(it.at(49_990)?.id, "Run.49990");
  assert.equal(it.at(0), undefined);
  assert.equal(it.place("Run.0"), undefined);
});

test("a selection is by ID", () => {
  const it = new Selection();
  const all = rows(5);
  it.only(all.at(1)!);
  it.toggle(all.at(3)!, all);
  assert.deepEqual(it.target, { ids: ["Run.1", "Run.3"] });
  assert.equal(it.bytes, 4);
  const other = rows(5);
  assert.ok(it.has(other.at(3)!, other));
  it.toggle(other.at(3)!, other);
  assert.equal(it.size, 1);
});

test("everything is a question and its exceptions", () => {
  const it = new Selection();
  const all = rows(5);
  all.count = 1_000_000;
  it.everything(all);
  assert.equal(it.size, 1_000_000);
  it.toggle(all.at(2)!, all);
  assert.equal(it.size, 999_999);
  assert.deepEqual(it.target, { ids: ["Run.2"], query: question });
  assert.equal(it.has(all.at(2)!, all), false);
  assert.equal(it.has(all.at(3)!, all), true);
  const unknown = { ...(all.at(0) as Row), id: "Other.9" };
  it.toggle(unknown, all);
  assert.equal(it.size, 999_999);
  it.recount(41);
  assert.equal(it.size, 41);
});

test("sorting goes up, down, off", () => {
  assert.equal(nextOrder("", "size"), "size");
  assert.equal(nextOrder("size", "size"), "-size");
  assert.equal(nextOrder("-size", "size"), "");
  assert.equal(nextOrder("-size", "name"), "name");
});

test("columns come back as they were left; what is new comes last", () => {
  const first = table([], "energy");
  const left = moved(first, "size", "name");
  assert.equal(left[0]!.key, "size");
  left[1]!.shown = false;
  left[2]!.width = 77;
  const again = table(toSave(left), "energy", "added");
  assert.deepEqual(toSave(again).slice(0, -1), toSave(left));
  assert.equal(again.at(-1)!.key, "added");
  assert.deepEqual(table([["gone", 50, true], ["id", 1, false]]).map((it) => it.key)[0], "id");
  assert.ok(table(toSave(first).map(([key, width]) => [key, width, false])).some((it) => it.shown));
  assert.equal(moved(first, "name", null).at(-1)!.key, "name");
});

test("the store's own columns stand beside the state, and are numbers if all that is seen are", () => {
  const columns = table([], "energy", "kind");
  assert.deepEqual(columns.slice(3, 7).map((it) => it.key), ["state", "energy", "kind", "size"]);
  const row = (energy: unknown, kind: unknown): Row => ({ ...values(1), columns: { energy, kind } });
  assert.ok(!lookAt(columns, [row(null, null)]));
  assert.ok(lookAt(columns, [row(1.5, "a"), row(null, "b")]));
  assert.deepEqual([columns[4]!.numeric, columns[5]!.numeric], [true, false]);
  assert.ok(!lookAt(columns, [row(2, null)]));
  assert.ok(lookAt(columns, [row("two", null)]));
  assert.ok(!columns[4]!.numeric);
  assert.deepEqual(columns.filter((it) => it.numeric).map((it) => it.key), ["size", "revision"]);
});

test("columns that were not resized fit into the table", () => {
  const columns = table([]);
  const upTo = (room: number, end: number): number => fitted(columns, room).slice(0, end).reduce((a, b) => a + b, 0);
  for (const room of [680, 720, 780, 800]) assert.ok(upTo(room, 7) <= room && upTo(room, 7) > room - 8, `${room}: ${upTo(room, 7)}`);
  for (const room of [570, 600, 640]) assert.ok(upTo(room, 6) <= room && upTo(room, 6) > room - 8); // the last one is out of view
  for (const room of [430, 470]) assert.ok(upTo(room, 4) <= room && upTo(room, 4) > room - 8);
  assert.equal(fitted(columns, 5000)[0], 320);
  columns[1]!.width = 200;
  for (const room of [400, 800, 2000]) assert.equal(fitted(columns, room)[1], 200);
  assert.deepEqual(fitted(table(toSave(columns)), 800), fitted(columns, 800));
  assert.equal(fitted(columns, 0).length, 7);
});

test("no text is ever parsed as HTML or run, and nothing is fetched", () => {
  for (const name of readdirSync("src")) {
    const source = readFileSync(`src/${name}`, "utf8");
    for (const word of ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "new Function", "document.write", "fetch(", "http://", "https://", "import("]) {
      const allowed = name === "dom.ts" && word === "http://"; // the name of SVG's namespace
      if (!allowed) assert.ok(!source.includes(word), `${name}: ${word}`);
    }
  }
});

test("the variable that is called what was typed comes first, then those that begin with it", () => {
  const of = (...names: string[]): Variable[] => names.map((name) => [name, "int", 28, ""]);
  const names = (text: string): string[] => matching(of("max", "axis", "x", "X2"), text).map(([name]) => name);
  assert.deepEqual(names("x"), ["x", "X2", "max", "axis"]);
  assert.deepEqual(names(""), ["max", "axis", "x", "X2"]);
  assert.deepEqual(names("INT"), ["max", "axis", "x", "X2"]);
  assert.deepEqual(names("y"), []);
});
