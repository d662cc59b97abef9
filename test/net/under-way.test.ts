import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MOST_UNDER_WAY, UnderWay } from "../../src/net/under-way.ts";

interface ServerOptions {
  /** How many requests it works on at once; the others wait. */
  readonly workers: number;
  /** What one request takes a worker, ms. */
  readonly serviceMs: number;
  /** On the way, both ways, ms. */
  readonly wayMs?: number;
  /** A request's share of chance: it takes (1 ± this) times as long. */
  readonly jitter?: number;
  /** Whether the nth request fails. */
  readonly fails?: (n: number) => boolean;
  readonly random?: () => number;
}

/** A server in simulated time. */
class Simulation {
  now = 0;
  underWay = 0;
  mostUnderWay = 0;
  readonly order: number[] = [];
  workers: number;
  readonly #options: ServerOptions;
  #arrived = 0;
  #events: { at: number; happen: () => void }[] = [];
  #busyUntil: number[] = [];

  constructor(options: ServerOptions) {
    this.#options = options;
    this.workers = options.workers;
  }

  /** `count` requests by `clients` that send one after the other. @returns how many were answered in a second */
  async send(underWay: UnderWay, count: number, clients: number, size = 90_000): Promise<number> {
    const start = this.now;
    const next = Array.from({ length: count }, (_, i) => i);
    const done = Promise.all(
      Array.from({ length: clients }, async () => {
        for (let i = next.shift(); i !== undefined; i = next.shift()) await this.#request(underWay, i, size);
      }),
    );
    let over = false;
    void done.finally(() => (over = true));
    for (;;) {
      await turn();
      if (over) return (1000 * count) / (this.now - start);
      this.#events.sort((a, b) => a.at - b.at);
      const event = this.#events.shift();
      if (event === undefined) throw new Error("nobody is under way, and not all was sent");
      this.now = event.at;
      event.happen();
    }
  }

  #request(underWay: UnderWay, i: number, size: number): Promise<void> {
    return underWay.pass(size, async (sent) => {
      this.order.push(i);
      const start = this.now;
      this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
      const { fails, jitter = 0, random = Math.random, serviceMs, wayMs = 0 } = this.#options;
      const failed = fails?.(this.#arrived++) ?? false;
      this.#busyUntil = this.#busyUntil.filter((at) => at > this.now).sort((a, b) => a - b);
      const free = this.#busyUntil.length < this.workers ? this.now : (this.#busyUntil.at(-this.workers) as number);
      const end = free + serviceMs * (1 + jitter * (2 * random() - 1));
      this.#busyUntil.push(end);
      await new Promise<void>((happen) => this.#events.push({ at: end + wayMs, happen }));
      this.underWay--;
      if (failed) sent.failed();
      else sent.answered(this.now - start);
    });
  }
}

test.each([
  { workers: 1, serviceMs: 60 },
  { workers: 2, serviceMs: 60 },
  { workers: 4, serviceMs: 60 },
  { workers: 8, serviceMs: 100 },
  { workers: 4, serviceMs: 60, wayMs: 100 },
])("a server of $workers workers is kept busy, and few wait in it: %o", async (options) => {
  const underWay = new UnderWay();
  const server = new Simulation(options);
  await server.send(underWay, 300, 32);
  const rate = await server.send(underWay, 300, 32);
  expect(rate).toBeGreaterThan((0.93 * 1000 * options.workers) / options.serviceMs);
  const onTheWay = options.workers * ((options.wayMs ?? 0) / options.serviceMs);
  expect(underWay.limit).toBeGreaterThan(options.workers);
  expect(underWay.limit).toBeLessThanOrEqual(Math.min(MOST_UNDER_WAY, options.workers + onTheWay + 5));
});

test("it begins with two", async () => {
  const server = new Simulation({ workers: 4, serviceMs: 60 });
  await server.send(new UnderWay(), 3, 32);
  expect(server.mostUnderWay).toBe(2);
});

test("a server that gets slower is given less, one that recovers more", async () => {
  const underWay = new UnderWay();
  const server = new Simulation({ workers: 8, serviceMs: 60 });
  await server.send(underWay, 400, 32);
  expect(underWay.limit).toBeGreaterThan(8);
  server.workers = 1;
  await server.send(underWay, 200, 32);
  expect(underWay.limit).toBeLessThan(6);
  server.workers = 8;
  await server.send(underWay, 400, 32);
  expect(underWay.limit).toBeGreaterThan(8);
});

test("failures halve it, all that were under way together once", async () => {
  const underWay = new UnderWay();
  await new Simulation({ workers: 8, serviceMs: 60 }).send(underWay, 400, 32);
  const before = underWay.limit;
  await new Simulation({ workers: 8, serviceMs: 60, fails: (n) => n < before }).send(underWay, before, 32);
  expect(underWay.limit).toBe(before >> 1);
});

test("a server that only fails is asked by one at a time", async () => {
  const underWay = new UnderWay();
  const server = new Simulation({ workers: 8, serviceMs: 60, fails: () => true });
  await server.send(underWay, 50, 32);
  expect(underWay.limit).toBe(1);
});

test("who sends little at a time teaches nothing of more", async () => {
  const underWay = new UnderWay();
  await new Simulation({ workers: 8, serviceMs: 60 }).send(underWay, 100, 1);
  expect(underWay.limit).toBe(2);
});

test("small requests between large ones teach nothing", async () => {
  const underWay = new UnderWay();
  const server = new Simulation({ workers: 4, serviceMs: 60 });
  await server.send(underWay, 200, 32);
  const { limit } = underWay;
  await new Simulation({ workers: 4, serviceMs: 1 }).send(underWay, 50, 32, 200);
  expect(underWay.limit).toBe(limit);
});

test("where only small ones come any more, it learns from these", async () => {
  const underWay = new UnderWay();
  await new Simulation({ workers: 4, serviceMs: 60, fails: () => true }).send(underWay, 50, 32);
  await new Simulation({ workers: 8, serviceMs: 60 }).send(underWay, 1, 32);
  expect(underWay.limit).toBe(1);
  await new Simulation({ workers: 8, serviceMs: 5 }).send(underWay, 400, 32, 200);
  expect(underWay.limit).toBeGreaterThan(6);
});

test("each has its turn, in order, and never more than the limit are under way, whatever the server does", async () => {
  const options = fc.record({
    workers: fc.integer({ min: 1, max: 12 }),
    serviceMs: fc.integer({ min: 1, max: 5000 }),
    wayMs: fc.integer({ min: 0, max: 1000 }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    failing: fc.array(fc.nat(200), { maxLength: 60 }),
    clients: fc.integer({ min: 1, max: 64 }),
  });
  await fc.assert(
    fc.asyncProperty(options, async ({ failing, clients, ...server }) => {
      const underWay = new UnderWay();
      const failures = new Set(failing);
      const simulation = new Simulation({ ...server, fails: (n) => failures.has(n) });
      await simulation.send(underWay, 200, clients);
      expect(simulation.order).toEqual(Array.from({ length: 200 }, (_, i) => i));
      expect(simulation.underWay).toBe(0);
      expect(simulation.mostUnderWay).toBeLessThanOrEqual(Math.min(clients, MOST_UNDER_WAY));
      expect(underWay.limit).toBeGreaterThanOrEqual(1);
    }),
    { numRuns: 40 },
  );
});
