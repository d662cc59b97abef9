/** What is known of file systems, and what is said of them and of limits. */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { silentFileSystem } from "../../src/sync/tree/file-systems.ts";
import { formatWatchNote, type WatchNote, watchLimitNote } from "../../src/sync/tree/watch-notes.ts";
import { EVENT_FILE, temporaryDirectory } from "../support/logdirs.ts";
import { Followed } from "./followed.ts";

const type = vi.hoisted(() => ({ pretended: undefined as number | undefined }));

vi.mock("node:fs/promises", async (original) => {
  const actual = await original<typeof import("node:fs/promises")>();
  const statfs = async (of: string) => ({
    ...(await actual.statfs(of)),
    ...(type.pretended && { type: type.pretended }),
  });
  return { ...actual, statfs };
});

afterEach(() => {
  type.pretended = undefined;
});

test.runIf(process.platform === "linux")(
  "local file systems tell of changes, network and shared ones do not",
  async () => {
    expect(await silentFileSystem("/")).toBeUndefined();
    for (const [pretended, name] of [
      [0x6969, "NFS"],
      [0xff534d42, "CIFS"],
      [0x65735546, "FUSE"],
      [0x01021997, "9P"],
    ]) {
      type.pretended = pretended as number;
      expect(await silentFileSystem("/")).toBe(name);
    }
    // overlayfs, ext4, tmpfs, XFS, Btrfs.
    for (type.pretended of [0x794c7630, 0xef53, 0x01021994, 0x58465342, 0x9123683e]) {
      expect(await silentFileSystem("/")).toBeUndefined();
    }
  },
);

test.runIf(process.platform === "linux")("a logdir on a silent file system is polled, which is said once", async () => {
  const logdir = temporaryDirectory();
  for (const run of ["a", "b"]) {
    mkdirSync(path.join(logdir, run));
    writeFileSync(path.join(logdir, run, EVENT_FILE), "1");
  }
  type.pretended = 0x6969;
  const followed = await new Followed([logdir], { pollMs: 100, rescanMs: 600_000 }).start();
  try {
    appendFileSync(path.join(logdir, "a", EVENT_FILE), "more");
    await followed.catchesUp(logdir);
    expect(followed.lines).toEqual([`${logdir} is on NFS, which does not report changes: polled every 0.1 s`]);
  } finally {
    await followed.end();
    rmSync(logdir, { recursive: true });
  }
});

test.runIf(process.platform === "linux")("a limit is named with its value and one to set", () => {
  const current = Number(readFileSync("/proc/sys/fs/inotify/max_user_watches", "latin1"));
  const note = watchLimitNote("ENOSPC", 2000);
  expect(note).toMatchObject({ kind: "watch-limit", sysctl: "fs.inotify.max_user_watches", current });
  expect(watchLimitNote("EMFILE", 2000)).toMatchObject({ sysctl: "fs.inotify.max_user_instances" });
  const small: WatchNote = { kind: "watch-limit", sysctl: "x.y", current: 8192, suggested: 16384, pollMs: 2000 };
  expect(formatWatchNote(small)).toBe(
    "no more file watches allowed (x.y = 8192), polling the rest every 2 s; to raise it: sysctl -w x.y=16384",
  );
});
