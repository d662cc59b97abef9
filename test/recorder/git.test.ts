/** The version of the code, from real repositories. */
import { execFileSync } from "node:child_process";
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { gitFacts } from "../../src/recorder/git.ts";
import { withoutCredentials } from "../../src/recorder/remote-url.ts";

const ENV: NodeJS.ProcessEnv = {
  ...process.env,
  GIT_CONFIG_GLOBAL: os.devNull,
  GIT_CONFIG_SYSTEM: os.devNull,
  ...{ GIT_AUTHOR_NAME: "A", GIT_AUTHOR_EMAIL: "a@example.com" },
  ...{ GIT_COMMITTER_NAME: "A", GIT_COMMITTER_EMAIL: "a@example.com" },
};

function temporary(): string {
  const directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), "tracelet-git-")));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function git(directory: string, ...args: string[]): string {
  return execFileSync("git", args, { cwd: directory, env: ENV, encoding: "utf8", stdio: "pipe" }).trim();
}

/** A repository with one commit. */
function repository(root = path.join(temporary(), "repo")): string {
  mkdirSync(root, { recursive: true });
  git(root, "init", "--quiet", "--initial-branch", "main");
  writeFileSync(path.join(root, "train.py"), "lr = 1\n");
  git(root, "add", ".");
  git(root, "commit", "--quiet", "-m", "first");
  return root;
}

/** What is recorded from there, and what is said. */
async function facts(...places: string[]): Promise<{ tags: unknown; files: Record<string, string>; said: string[] }> {
  const said: string[] = [];
  const found = await gitFacts(places, (message) => said.push(message));
  const files = found?.artifacts.map(({ path: name, bytes }) => [name, Buffer.from(bytes).toString()]) ?? [];
  return { tags: found?.tags, files: Object.fromEntries(files) as Record<string, string>, said };
}

test("a clean repository, from a directory in it: commit, branch and remote under MLflow's names", async () => {
  const root = repository();
  git(root, "remote", "add", "origin", "https://me:ghp_secret@github.com/me/code.git");
  mkdirSync(path.join(root, "runs/a"), { recursive: true });
  expect(await facts(path.join(root, "runs/a"))).toEqual({
    tags: {
      "mlflow.source.git.commit": git(root, "rev-parse", "HEAD"),
      "mlflow.source.git.branch": "main",
      "mlflow.source.git.repoURL": "https://github.com/me/code.git",
      "mlflow.source.git.dirty": "false",
    },
    files: {},
    said: [],
  });
});

test("what is not committed is a patch that git applies, staged or not; of a binary file that it differs", async () => {
  const root = repository();
  const copy = path.join(temporary(), "copy");
  git(root, "clone", "--quiet", root, copy);
  writeFileSync(path.join(root, "model.bin"), Buffer.from([0, 1, 2, 0]));
  git(root, "add", ".");
  git(root, "commit", "--quiet", "-m", "binary");
  git(copy, "pull", "--quiet");
  appendFileSync(path.join(root, "train.py"), "epochs = 3\n");
  writeFileSync(path.join(root, "new.py"), "print()\n");
  git(root, "add", "new.py");
  const { tags, files } = await facts(root);
  expect(tags).toMatchObject({ "mlflow.source.git.dirty": "true" });
  writeFileSync(path.join(copy, "the.patch"), files["git/diff.patch"] as string);
  git(copy, "apply", "the.patch");
  expect(git(copy, "diff", "--no-index", path.join(root, "train.py"), path.join(copy, "train.py"))).toBe("");
  expect(git(copy, "diff", "--no-index", path.join(root, "new.py"), path.join(copy, "new.py"))).toBe("");
  writeFileSync(path.join(root, "model.bin"), Buffer.from([0, 9, 9, 0]));
  expect((await facts(root)).files["git/diff.patch"]).toContain("Binary files a/model.bin and b/model.bin differ");
});

test("changes of more than 10 MB are named, not kept", async () => {
  const root = repository();
  writeFileSync(path.join(root, "train.py"), "x = 1\n".repeat(2_000_000));
  const { tags, files, said } = await facts(root);
  expect(tags).toMatchObject({ "mlflow.source.git.dirty": "true" });
  expect(Object.keys(files)).toEqual(["git/diff-stat.txt"]);
  expect(files["git/diff-stat.txt"]).toContain("train.py");
  expect(said).toEqual([expect.stringContaining("more than 10 MB")]);
});

test("no repository, no commit, a detached head, a worktree, a submodule", async () => {
  expect(await facts(temporary())).toEqual({ tags: undefined, files: {}, said: [] });
  const empty = temporary();
  git(empty, "init", "--quiet", "--initial-branch", "main");
  expect((await facts(empty)).tags).toEqual({ "mlflow.source.git.branch": "main" });

  const root = repository();
  const first = git(root, "rev-parse", "HEAD");
  git(root, "commit", "--quiet", "--allow-empty", "-m", "second");
  const worktree = path.join(temporary(), "tree");
  git(root, "worktree", "add", "--quiet", "-b", "side", worktree, first);
  expect((await facts(worktree)).tags).toMatchObject({
    "mlflow.source.git.commit": first,
    "mlflow.source.git.branch": "side",
  });
  git(root, "checkout", "--quiet", first);
  const detached = (await facts(root)).tags as Record<string, string>;
  expect(detached["mlflow.source.git.commit"]).toBe(first);
  expect(detached).not.toHaveProperty(["mlflow.source.git.branch"]);

  const inner = repository();
  git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "lib");
  expect((await facts(path.join(root, "lib"))).tags).toMatchObject({
    "mlflow.source.git.commit": git(inner, "rev-parse", "HEAD"),
    "mlflow.source.git.dirty": "false",
  });
  expect((await facts(root)).tags).toMatchObject({ "mlflow.source.git.dirty": "true" });
});

test("the first place that lies in a repository counts; one that is gone is passed over", async () => {
  const root = repository();
  const { tags } = await facts(path.join(root, "gone"), temporary(), root);
  expect(tags).toMatchObject({ "mlflow.source.git.commit": git(root, "rev-parse", "HEAD") });
});

test("nothing of the repository is run or written, and no variable of a hook leads elsewhere", async () => {
  const root = repository();
  const trap = path.join(root, "trap.sh");
  writeFileSync(trap, `#!/bin/sh\ntouch ${root}/sprung\n`);
  chmodSync(trap, 0o755);
  for (const name of ["core.fsmonitor", "diff.external", "core.pager", "core.askPass"]) git(root, "config", name, trap);
  writeFileSync(path.join(root, ".git/hooks/post-index-change"), `#!/bin/sh\ntouch ${root}/sprung\n`, { mode: 0o755 });
  appendFileSync(path.join(root, "train.py"), "epochs = 3\n");
  process.env["GIT_DIR"] = path.join(repository(), ".git");
  onTestFinished(() => void delete process.env["GIT_DIR"]);
  const { tags, files } = await facts(root);
  delete process.env["GIT_DIR"];
  expect(tags).toMatchObject({ "mlflow.source.git.commit": git(root, "rev-parse", "HEAD") });
  expect(files["git/diff.patch"]).toContain("+epochs = 3");
  expect(execFileSync("ls", [root], { encoding: "utf8" })).not.toContain("sprung");
});

test("somebody else's repository is not looked into, and that is said", async ({ skip }) => {
  const root = repository();
  try {
    execFileSync("chown", ["-R", "12345:12345", root], { stdio: "ignore" });
  } catch {
    skip("only root can give files away");
  }
  process.env["GIT_CONFIG_GLOBAL"] = os.devNull;
  process.env["GIT_CONFIG_SYSTEM"] = os.devNull;
  onTestFinished(() => {
    delete process.env["GIT_CONFIG_GLOBAL"];
    delete process.env["GIT_CONFIG_SYSTEM"];
  });
  const { tags, said } = await facts(root);
  expect(tags).toBeUndefined();
  expect(said).toEqual([expect.stringContaining("belongs to somebody else")]);
});

test("without git that is said, and nothing is recorded", async () => {
  const before = process.env["PATH"];
  process.env["PATH"] = temporary();
  onTestFinished(() => void (process.env["PATH"] = before));
  expect(await facts(repositoryBefore(before))).toEqual({
    tags: undefined,
    files: {},
    said: ["git is not recorded: there is no git on PATH"],
  });
});

function repositoryBefore(searchPath: string | undefined): string {
  const now = process.env["PATH"];
  process.env["PATH"] = searchPath;
  ENV["PATH"] = searchPath;
  const root = repository();
  process.env["PATH"] = now;
  return root;
}

test.each([
  ["https://github.com/a/b.git", "https://github.com/a/b.git"],
  ["https://user@host/a", "https://host/a"],
  ["https://user:pass@host:8443/a/b", "https://host:8443/a/b"],
  ["https://x:p@ss@host/a", "https://host/a"],
  ["https://user:pa/ss@host/a", "https://host/a"],
  ["https://user:12/ss@host/a", "https://host/a"],
  ["https://host/a?private_token=x#y", "https://host/a"],
  ["https://host/@scope/a", "https://host/@scope/a"],
  ["https://user:p%40s@[::1]:80/a", "https://[::1]:80/a"],
  ["ssh://git@host:22/a", "ssh://host:22/a"],
  ["git@github.com:a/b.git", "git@github.com:a/b.git"],
  ["user:pass@host:a", "host:a"],
  ["/srv/git/a.git", "/srv/git/a.git"],
  ["file:///srv/git/a.git", "file:///srv/git/a.git"],
  ["ext::sh -c secret", undefined],
  ["codecommit::https://user:pass@host/a", "codecommit::https://host/a"],
])("%s is shown as %s", (url, shown) => {
  expect(withoutCredentials(url)).toBe(shown);
});
