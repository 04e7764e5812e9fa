// Requests to the kernel and their replies.

export type Body = Record<string, unknown>;
export type Reply = Record<string, any>;

/** The part of an anywidget model that is used here. */
export interface Model {
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, handler: (...values: any[]) => void): void;
  off(event: string, handler?: (...values: any[]) => void): void;
}

/** The kernel's answer was no. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly type: string,
    readonly facts: Reply,
  ) {
    super(message);
  }
}

interface Pending {
  kind: string;
  body: Body;
  since: number;
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

/** What the kernel tells of the kinds of requests. */
export interface Requests {
  /** Kinds that the kernel answers at once, unless it is busy with something else. */
  readonly immediate: readonly string[];
  /** Kinds that may be asked twice without doing anything twice. */
  readonly repeatable: readonly string[];
}

/** Milliseconds without an answer after which the kernel is sent a ping. */
const PING_AFTER = 2000;

export class Channel {
  readonly client = Math.random().toString(36).slice(2);
  private seq = 0;
  private patience = PING_AFTER;
  private readonly pending = new Map<number, Pending>();
  private readonly hear = (message: Reply): void => this.receive(message);

  constructor(
    private readonly model: Model,
    private readonly requests: Requests,
    private readonly clock: () => number = () => performance.now(),
  ) {
    model.on("msg:custom", this.hear);
  }

  /** Ask the kernel; the promise fails with a `Refusal` if it says no. */
  ask(kind: string, body: Body = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const seq = ++this.seq;
      this.pending.set(seq, { kind, body, since: this.clock(), resolve, reject });
      this.post(seq);
    });
  }

  /** Milliseconds that the oldest immediate request has waited for its reply. */
  get waiting(): number {
    return this.longest((kind) => this.requests.immediate.includes(kind));
  }

  /** Milliseconds that the oldest action has run. */
  get working(): number {
    return this.longest((kind) => !this.requests.repeatable.includes(kind));
  }

  /**
   * See to it that the kernel looks for requests, if it has not answered for long.
   *
   * A kernel can miss that one has arrived in a thread of its own while a cell runs
   * (ipykernel 7), and finds it with the next. Each time takes twice as long as the last: there
   * are kernels that answer nothing while a cell runs, and find them all when it ends.
   */
  ping(): void {
    const waited = this.longest(() => true);
    if (waited < PING_AFTER) this.patience = PING_AFTER;
    if (waited < this.patience) return;
    this.patience *= 2;
    try {
      this.model.send({ kind: "ping", client: this.client, seq: 0 });
    } catch {
      // The request that waits was refused already.
    }
  }

  /** Ask again what has no answer yet, where that does nothing twice. */
  repeat(): void {
    for (const [seq, request] of this.pending) if (this.requests.repeatable.includes(request.kind)) this.post(seq);
  }

  close(): void {
    this.model.off("msg:custom", this.hear);
    this.pending.clear();
  }

  private longest(which: (kind: string) => boolean): number {
    let since = Infinity;
    for (const request of this.pending.values()) if (which(request.kind)) since = Math.min(since, request.since);
    return since === Infinity ? 0 : this.clock() - since;
  }

  private post(seq: number): void {
    const request = this.pending.get(seq);
    if (!request) return;
    try {
      this.model.send({ ...request.body, kind: request.kind, client: this.client, seq });
    } catch (error) {
      this.pending.delete(seq);
      request.reject(new Refusal("No kernel is connected: run the cell again.", "Disconnected", { error }));
    }
  }

  private receive(message: Reply): void {
    if (message === null || typeof message !== "object" || message.client !== this.client) return;
    const request = this.pending.get(message.seq);
    if (!request) return; // answered before, or asked by a page that is gone
    this.pending.delete(message.seq);
    if (message.ok) request.resolve(message);
    else {
      const { type = "Error", message: text = "No reason was given.", ...facts } = message.error ?? {};
      request.reject(new Refusal(String(text), String(type), facts));
    }
  }
}

/**
 * Asks one kind of question of which only the newest matters.
 *
 * At most `limit` requests are under way; of those that wait for one of these to be
 * answered only the newest is kept. With `ordered`, a reply that was overtaken by a newer
 * one is dropped.
 */
export class Latest {
  private flying = 0;
  private next: (() => void) | null = null;
  private asked = 0;
  private heard = 0;

  constructor(
    private readonly channel: Channel,
    private readonly kind: string,
    private readonly limit = 1,
    private readonly ordered = true,
  ) {}

  ask(body: () => Body, done: (reply: Reply) => void, failed: (error: Refusal) => void): void {
    const number = ++this.asked;
    const send = (): void => {
      this.flying++;
      const settle = (act: () => void): void => {
        this.flying--;
        const { next } = this;
        this.next = null;
        if (!this.ordered || number > this.heard) {
          this.heard = Math.max(this.heard, number);
          act();
        }
        next?.();
      };
      this.channel.ask(this.kind, body()).then(
        (reply) => settle(() => done(reply)),
        (error: Refusal) => settle(() => failed(error)),
      );
    };
    if (this.flying < this.limit) send();
    else this.next = send;
  }

  get busy(): boolean {
    return this.flying > 0;
  }
}
