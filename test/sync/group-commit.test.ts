/** Work of several callers in one transaction: what each of them gets, whatever becomes of the others. */
import { describe, expect, test } from "vitest";
import { GroupCommit } from "../../src/backends/mlflow/group-commit.ts";
import { TraceletError } from "../../src/errors.ts";

/** A database that is a list: what is undone is not in it. */
class World {
  readonly rows: string[] = [];
  /** What each transaction was to add, the ones that were undone included. */
  readonly transactions: string[][] = [];
  /** ms of `performance.now()`. */
  readonly times: { readonly start: number; readonly end: number }[] = [];
  mayBegin: () => boolean = () => true;
  takesMs = 0;
  obstacle: Error | undefined;
  readonly commits: GroupCommit = new GroupCommit({
    size: 100,
    mayBegin: () => this.mayBegin(),
    transaction: (work) => {
      const start = performance.now();
      const before = this.rows.length;
      try {
        const result = work();
        if (this.obstacle !== undefined) throw this.obstacle;
        while (performance.now() < start + this.takesMs);
        return result;
      } catch (error) {
        this.rows.length = before;
        throw error;
      } finally {
        this.transactions.push(this.#asked.splice(0));
        this.times.push({ start, end: performance.now() });
      }
    },
  });
  readonly #asked: string[] = [];

  add(row: string, { size = 0, fails = false } = {}): Promise<string> {
    return this.commits.run(() => {
      this.#asked.push(row);
      if (fails) throw new Error(`no ${row}`);
      this.rows.push(row);
      return row.toUpperCase();
    }, size);
  }
}

test("what is asked for at the same time is one transaction, and each gets its own answer", async () => {
  const world = new World();
  expect(await Promise.all([world.add("a"), world.add("b"), world.add("c")])).toEqual(["A", "B", "C"]);
  expect(await world.add("d")).toBe("D");
  expect(world.transactions).toEqual([["a", "b", "c"], ["d"]]);
});

test("what is asked for while others are served comes next", async () => {
  const world = new World();
  const answers = await Promise.all([
    world.add("a").then(() => world.add("c")),
    world.add("b").then(() => world.add("d")),
  ]);
  expect(answers).toEqual(["C", "D"]);
  expect(world.transactions).toEqual([
    ["a", "b"],
    ["c", "d"],
  ]);
});

test("a transaction is no larger than it should be, unless one piece is", async () => {
  const world = new World();
  const sizes = [60, 40, 1, 300, 99, 0, 1, 1];
  await Promise.all(sizes.map((size, i) => world.add(String(i), { size })));
  expect(world.transactions).toEqual([["0", "1"], ["2"], ["3"], ["4", "5", "6"], ["7"]]);
});

describe("an error", () => {
  test("of one is not one of the others, and nothing is done twice", async () => {
    const world = new World();
    const results = await Promise.allSettled([world.add("a"), world.add("b", { fails: true }), world.add("c")]);
    expect(results).toEqual([
      { status: "fulfilled", value: "A" },
      { status: "rejected", reason: new Error("no b") },
      { status: "fulfilled", value: "C" },
    ]);
    expect(world.rows).toEqual(["a", "c"]);
  });

  test("that would be everybody's is met once: waiting for a lock takes a minute", async () => {
    const world = new World();
    world.obstacle = new TraceletError("unreachable", "locked");
    const results = await Promise.allSettled([world.add("a"), world.add("b")]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(world.transactions).toHaveLength(1);
    world.obstacle = undefined;
    expect(await world.add("c")).toBe("C");
    expect(world.rows).toEqual(["c"]);
  });

  test("of looking whether anything may be written is that of all who wait, and of nobody later", async () => {
    const world = new World();
    world.mayBegin = () => {
      throw new Error("no tables");
    };
    const results = await Promise.allSettled([world.add("a"), world.add("b")]);
    expect(results).toEqual([0, 1].map(() => ({ status: "rejected", reason: new Error("no tables") })));
    world.mayBegin = () => true;
    expect(await world.add("c")).toBe("C");
  });
});

describe("others get their turn", () => {
  test("between two transactions, however much is waiting", async () => {
    const world = new World();
    world.takesMs = 100;
    await Promise.all(Array.from({ length: 4 }, (_, i) => world.add(String(i), { size: 100 })));
    const gaps = world.times.slice(1).map(({ start }, i) => start - (world.times[i] as { end: number }).end);
    expect(gaps).toHaveLength(3);
    expect(Math.min(...gaps)).toBeGreaterThan(19);
  });

  test("for as long as they need", async () => {
    const world = new World();
    let asked = 0;
    world.mayBegin = () => ++asked > 1;
    expect(await world.add("a")).toBe("A");
    expect(asked).toBe(2);
  });
});
