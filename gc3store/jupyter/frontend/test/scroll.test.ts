import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_HEIGHT, Scroll } from "../src/scroll.ts";

function scroll(count: number): Scroll {
  const it = new Scroll(28);
  it.count = count;
  it.view = 350;
  return it;
}

test("a short table scrolls pixel by pixel", () => {
  const it = scroll(100);
  assert.equal(it.height, 2800);
  it.fromBar(123);
  assert.equal(it.top, 123);
  assert.equal(it.bar, 123);
  it.to(1e9);
  assert.equal(it.top, 2800 - 350);
});

test("a long table is no higher than browsers allow, and the bar reaches both ends", () => {
  const it = scroll(1_000_000);
  assert.equal(it.height, MAX_HEIGHT);
  it.fromBar(MAX_HEIGHT - 350);
  assert.equal(it.range()[1], 1_000_000);
  assert.ok(Math.abs(it.bar - (MAX_HEIGHT - 350)) < 1e-6);
  it.fromBar(0);
  assert.deepEqual(it.range(), [0, 13]);
});

test("the bar and the place agree", () => {
  const it = scroll(5_000_000);
  for (const part of [0.1, 0.5, 0.77]) {
    it.to(part * it.last);
    const { top, bar } = it;
    it.fromBar(bar);
    assert.ok(Math.abs(it.top - top) < 0.01);
  }
});

test("a row is brought into view by the shortest way", () => {
  const it = scroll(1_000_000);
  it.to(500_000 * 28);
  it.reveal(500_003);
  assert.equal(it.top, 500_000 * 28);
  it.reveal(499_999);
  assert.equal(it.top, 499_999 * 28);
  it.reveal(500_020);
  assert.equal(it.top, 500_021 * 28 - 350);
});

test("nothing there", () => {
  const it = scroll(0);
  it.to(10);
  assert.equal(it.top, 0);
  assert.deepEqual(it.range(5), [0, 0]);
  assert.equal(it.bar, 0);
});
