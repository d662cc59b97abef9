/** Files that records name: between the check and the reading, and the key that vouches for them. */
import { mkdirSync, realpathSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import type { Datum, NamedFile } from "../../src/reader/datum.ts";
import type { FileRef } from "../../src/reader/file-store.ts";
import { localFiles } from "../../src/reader/local-files.ts";
import { Tally } from "../../src/sync/report/tally.ts";
import { NamedFiles } from "../../src/sync/run/named-files.ts";
import { FilePart } from "../../src/sync/source/file-part.ts";
import type { Member } from "../../src/sync/source/run-group.ts";
import { World } from "./world.ts";

const MTIME = 1_700_000_000;

/** A file of seven bytes in the logdir, found to be safe. */
async function judged(): Promise<{ readonly world: World; readonly file: string; readonly found: FileRef }> {
  const world = World.create();
  const logdir = world.logdir.root;
  mkdirSync(path.join(logdir, "d"), { recursive: true });
  const file = path.join(realpathSync(logdir), "d", "model");
  write(file, "harmles");
  const content: NamedFile = { file, size: 7, mtime: MTIME * 1000, text: "", mac: "" };
  const batch = { data: [{ kind: "artifacts", path: "x", content } as Datum] };
  const member = { run: { store: localFiles, logdir } } as unknown as Member;
  await new NamedFiles({ passes: false }).apply(batch, member, new Tally(), []);
  const [datum] = batch.data;
  const { found } = (datum as { readonly content: NamedFile }).content;
  return { world, file, found: found as FileRef };
}

function write(file: string, text: string): void {
  writeFileSync(file, text);
  utimesSync(file, MTIME, MTIME);
}

async function contentOf(file: FileRef): Promise<string> {
  const body = await new FilePart(file, 0, 7).open();
  try {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  } finally {
    await body.close();
  }
}

test.each([false, true])(
  "a directory that becomes a link after the check leads nowhere; read before: %s",
  async (isRead) => {
    const { world, file, found } = await judged();
    const home = path.join(world.root, "home");
    mkdirSync(home);
    write(path.join(home, "model"), "SECRET!");
    if (isRead) expect(await contentOf(found)).toBe("harmles");
    rmSync(path.dirname(file), { recursive: true });
    symlinkSync(home, path.dirname(file));
    await expect(contentOf(found)).rejects.toMatchObject({
      code: "logdir",
      message: expect.stringContaining("changed"),
    });
  },
);

test("nor is another file read, or the same one changed, that lies there by now", async () => {
  const { file, found } = await judged();
  write(`${file}2`, "another");
  renameSync(`${file}2`, file);
  await expect(contentOf(found)).rejects.toMatchObject({ code: "logdir" });
  const again = await judged();
  const { mtimeMs } = statSync(again.file);
  writeFileSync(again.file, "changed");
  expect(statSync(again.file).mtimeMs).not.toBe(mtimeMs);
  await expect(contentOf(again.found)).rejects.toMatchObject({ code: "logdir" });
});
