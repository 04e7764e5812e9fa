import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, grouped, highlighted, humanSize, plain, plainLines, shortClass } from "../src/format.ts";

test("sizes read as in Python", () => {
  const sizes: [number, string][] = [[0, "0 B"], [999, "999 B"], [4165, "4.2 kB"], [9949, "9.9 kB"], [9951, "10 kB"], [536870912, "537 MB"], [1e18, "1000 PB"]];
  for (const [size, text] of sizes) assert.equal(humanSize(size), text);
});

test("ages", () => {
  const now = 1e12;
  const ages: [number, string][] = [[0, "just now"], [59, "just now"], [60, "1 min ago"], [7200, "2 h ago"], [86400 * 3, "3 d ago"], [86400 * 15, "2 w ago"], [86400 * 70, "2 mo ago"], [86400 * 800, "2 y ago"], [-500, "just now"]];
  for (const [seconds, text] of ages) assert.equal(ago(now - seconds * 1000, now), text);
});

test("counts are grouped", () => {
  assert.deepEqual([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
});

test("bidi controls and control characters are made visible", () => {
  assert.equal(plain("photo\u202egpj.exe"), "photo\ufffdgpj.exe");
  assert.equal(plain("a\u2066b\u2069c\u0007d\u200f"), "a\ufffdb\ufffdc\ufffdd\ufffd");
  assert.equal(plain("two\n  lines\tand tab"), "two lines and tab");
  assert.equal(plainLines("two\r\nlines\u202e"), "two\nlines\ufffd");
  assert.equal(plain("été שלום 🙂"), "été שלום 🙂");
});

test("matches are found whatever their case, and nothing is a pattern", () => {
  assert.deepEqual(highlighted("Ising Run", ["run"]), [["Ising ", false], ["Run", true]]);
  assert.deepEqual(highlighted("a.b", ["."]), [["a", false], [".", true], ["b", false]]);
  assert.deepEqual(highlighted("(x)*", ["(", ")*"]), [["(", true], ["x", false], [")*", true]]);
  assert.deepEqual(highlighted("abc", []), [["abc", false]]);
  assert.deepEqual(highlighted("", ["a"]), [["", false]]);
  assert.equal(highlighted("x".repeat(9), ["", "y"]).map(([part]) => part).join(""), "x".repeat(9));
});

test("a class without its module", () => {
  assert.equal(shortClass("a.b.C"), "C");
  assert.equal(shortClass("C"), "C");
});
