/** What signals do to `tracelet sync`. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ended, expectHarmless, Machine, machineWithRun, ROOT, says } from "./tracelet.ts";

describe("a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends with %i behind the batch under way; the next sync completes it", async (signal, code) => {
    const machine = Machine.create();
    execFileSync(process.execPath, [path.join(ROOT, "bench/generate.mjs"), machine.logdir.root, "1", "250000", "5"]);
    const child = machine.start("sync", "runs", "--json");
    const end = ended(child);
    // The file is there before its tables are; the first batch is there long before the last.
    const began = () => existsSync(machine.database) && machine.points() > 0;
    for (let i = 0; i < 24_000; i++) {
      try {
        if (began()) break;
      } catch {}
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill(signal);
    const { code: ended_, stdout, stderr } = await end;
    expect(ended_).toBe(code);
    const result = JSON.parse(stdout) as {
      outcome: string;
      kinds: { scalars: { read: number; sent: number; failed: number; skipped: object } };
    };
    expect(result.outcome).toBe("interrupted");
    const { read, sent, failed } = result.kinds.scalars;
    expect([failed, read > 0, sent < 250_000]).toEqual([0, true, true]);
    expect(stderr).toContain("interrupted; run the same command to resume");
    expectHarmless(stderr);
    const rest = await machine.sync();
    expect(rest).toMatchObject({ code: 0, outcome: "ok" });
    expect(machine.points()).toBe(250_000);
    expect(machine.look((database) => database.prepare("SELECT count(*) AS n FROM runs").get())).toEqual({ n: 1 });
  });

  test("that comes twice ends it at once, whatever it waits for", async () => {
    const machine = machineWithRun();
    const server = net.createServer(() => {}).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const child = machine.start("sync", "runs", "--tracking-uri", `http://127.0.0.1:${port}`);
    const end = ended(child);
    const [socket] = (await once(server, "connection")) as [net.Socket];
    const acknowledged = says(child, "SIGINT");
    child.kill("SIGINT");
    await acknowledged;
    expect(child.exitCode).toBeNull();
    child.kill("SIGTERM");
    expect(await end).toMatchObject({ code: 143, stdout: "" });
    socket.destroy();
  });
});
