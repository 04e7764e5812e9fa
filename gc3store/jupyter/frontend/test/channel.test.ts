import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel, Latest, type Model, Refusal, type Reply } from "../src/channel.ts";

/** A kernel that answers when it is told to. */
class Stub implements Model {
  sent: Reply[] = [];
  broken = false;
  private hear: ((message: Reply) => void)[] = [];
  get(): undefined {}
  set(): void {}
  save_changes(): void {}
  send(content: unknown): void {
    if (this.broken) throw new Error("closed");
    this.sent.push(content as Reply);
  }
  on(_event: string, handler: (message: Reply) => void): void {
    this.hear.push(handler);
  }
  off(_event: string, handler?: (message: Reply) => void): void {
    this.hear = this.hear.filter((it) => it !== handler);
  }
  reply(request: Reply, reply: Reply = {}): void {
    const { client, seq, kind } = request;
    for (const handler of this.hear) handler({ client, seq, kind, ok: true, ...reply });
  }
}

const REQUESTS = { immediate: ["rows"], repeatable: ["rows", "count"] };

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("replies find their requests, whatever their order", async () => {
  const stub = new Stub();
  const channel = new Channel(stub, REQUESTS);
  const first = channel.ask("rows", { offset: 0 });
  const second = channel.ask("rows", { offset: 9 });
  stub.reply(stub.sent[1]!, { n: 2 });
  stub.reply(stub.sent[0]!, { n: 1 });
  assert.equal((await first).n, 1);
  assert.equal((await second).n, 2);
});

test("what other pages asked is not heard, nor what is answered twice", async () => {
  const stub = new Stub();
  const channel = new Channel(stub, REQUESTS);
  let heard = 0;
  void channel.ask("rows").then(() => heard++);
  stub.reply({ ...stub.sent[0]!, client: "other" });
  await settled();
  assert.equal(heard, 0);
  stub.reply(stub.sent[0]!);
  stub.reply(stub.sent[0]!);
  await settled();
  assert.equal(heard, 1);
});

test("a no is a refusal with its facts", async () => {
  const stub = new Stub();
  const channel = new Channel(stub, REQUESTS);
  const asked = channel.ask("load");
  stub.reply(stub.sent[0]!, { ok: false, error: { type: "VariableExistsError", message: "x exists", variable: "x" } });
  await assert.rejects(asked, (error: Refusal) => error.type === "VariableExistsError" && error.facts.variable === "x");
});

test("a kernel that is gone is a refusal", async () => {
  const stub = new Stub();
  stub.broken = true;
  await assert.rejects(new Channel(stub, REQUESTS).ask("rows"), /run the cell again/);
});

test("only immediate requests make the kernel look busy, and only repeatable ones are repeated", () => {
  const stub = new Stub();
  let now = 0;
  const channel = new Channel(stub, REQUESTS, () => now);
  void channel.ask("count");
  void channel.ask("remove");
  now = 700;
  assert.equal(channel.waiting, 0);
  assert.equal(channel.working, 700);
  void channel.ask("rows");
  now = 1300;
  assert.equal(channel.waiting, 600);
  const before = stub.sent.length;
  channel.repeat();
  assert.deepEqual(stub.sent.slice(before).map((it) => it.kind), ["count", "rows"]);
});

test("two in flight at most, and of those that wait the newest", async () => {
  const stub = new Stub();
  const latest = new Latest(new Channel(stub, REQUESTS), "rows", 2, false);
  const done: number[] = [];
  for (let n = 0; n < 60; n++) latest.ask(() => ({ n }), (reply) => done.push(reply.n), assert.fail);
  assert.deepEqual(stub.sent.map((it) => it.n), [0, 1]);
  stub.reply(stub.sent[0]!, { n: 0 });
  await settled();
  assert.deepEqual(stub.sent.map((it) => it.n), [0, 1, 59]);
  stub.reply(stub.sent[1]!, { n: 1 });
  stub.reply(stub.sent[2]!, { n: 59 });
  await settled();
  assert.deepEqual(done, [0, 1, 59]);
  assert.equal(latest.busy, false);
});

test("a reply that was overtaken is dropped", async () => {
  const stub = new Stub();
  const latest = new Latest(new Channel(stub, REQUESTS), "count", 2);
  const done: number[] = [];
  for (const n of [1, 2]) latest.ask(() => ({}), () => done.push(n), assert.fail);
  stub.reply(stub.sent[1]!);
  await settled();
  stub.reply(stub.sent[0]!);
  await settled();
  assert.deepEqual(done, [2]);
});

test("a failure frees its place", async () => {
  const stub = new Stub();
  const latest = new Latest(new Channel(stub, REQUESTS), "count");
  const seen: string[] = [];
  latest.ask(() => ({}), () => seen.push("yes"), (error) => seen.push(error.message));
  latest.ask(() => ({}), () => seen.push("yes"), (error) => seen.push(error.message));
  stub.reply(stub.sent[0]!, { ok: false, error: { message: "no" } });
  await settled();
  stub.reply(stub.sent[1]!);
  await settled();
  assert.deepEqual(seen, ["no", "yes"]);
});

test("a kernel that does not answer is sent pings, more and more rarely", () => {
  const stub = new Stub();
  let now = 0;
  const channel = new Channel(stub, REQUESTS, () => now);
  const pinged: number[] = [];
  const pass = (until: number): void => {
    for (; now < until; now += 100) {
      const before = stub.sent.length;
      channel.ping();
      if (stub.sent.length > before) pinged.push(now);
    }
  };
  pass(5000); // nothing is asked
  assert.deepEqual(pinged, []);
  void channel.ask("remove");
  pass(25_000);
  assert.deepEqual(pinged, [7000, 9000, 13_000, 21_000]);
  assert.deepEqual(stub.sent.map((it) => it.kind), ["remove", ...pinged.map(() => "ping")]);
  stub.reply(stub.sent[0]!);
  pinged.length = 0;
  pass(26_000);
  void channel.ask("rows");
  pass(29_000);
  assert.deepEqual(pinged, [28_000]);
});
