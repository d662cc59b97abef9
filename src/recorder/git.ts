/**
 * Which version of the code a run was made by, under the names of MLflow's own run tags.
 *
 * Source: mlflow/tracking/context/git_context.py, mlflow/genai/git_versioning/git_info.py.
 */
import { existsSync } from "node:fs";
import type { Facts } from "./facts.ts";
import { type Answer, ask } from "./program.ts";
import { withoutCredentials } from "./remote-url.ts";

const TIMEOUT_MS = 10_000;
/** A larger diff is described, not kept. Bytes. */
const MAX_DIFF_BYTES = 10_000_000;
const MAX_TEXT_BYTES = 64 * 1024;

/** What might run a program of the repository's, ask for a password, change a file, or look elsewhere. */
const OPTIONS = [
  "--no-pager",
  ...["core.fsmonitor=false", "core.hooksPath=/dev/null", "credential.helper=", "protocol.allow=never"].flatMap(
    (setting) => ["-c", setting],
  ),
];
const DIFF = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index"];

/** Told what a user should know. */
type Say = (message: string) => void;

/**
 * @param places directories, of which the first that lies in a repository counts
 * @returns undefined if none does, or there is no git
 */
export async function gitFacts(places: readonly string[], say: Say): Promise<Facts | undefined> {
  for (const place of places.filter((each) => existsSync(each))) {
    const root = await rootOf(place, say);
    if (root === "no git") return undefined;
    if (root !== undefined) return factsOf(root, say);
  }
  return undefined;
}

/** The work tree that a directory lies in; undefined if it lies in none that git lets us see. */
async function rootOf(place: string, say: Say): Promise<string | undefined> {
  const answer = await git(place, ["rev-parse", "--show-toplevel"]);
  if (answer instanceof Error) {
    const isAbsent = (answer as NodeJS.ErrnoException).code === "ENOENT";
    say(`git is not recorded: ${isAbsent ? "there is no git on PATH" : answer.message}`);
    return isAbsent ? "no git" : undefined;
  }
  if (answer.code === 0) return lineOf(answer);
  if (answer.stderr.includes("dubious ownership"))
    say(
      `git is not recorded: the repository that ${place} is in belongs to somebody else; git's setting safe.directory would allow it`,
    );
  return undefined;
}

async function factsOf(root: string, say: Say): Promise<Facts> {
  const text = async (...args: string[]) => {
    const answer = await git(root, args);
    return answer instanceof Error || answer.code !== 0 ? undefined : lineOf(answer);
  };
  const commit = await text("rev-parse", "--verify", "--quiet", "HEAD");
  const branch = await text("symbolic-ref", "--short", "--quiet", "HEAD");
  const url = await remoteOf(text);
  const diff = commit === undefined ? undefined : await diffOf(root, say);
  const tags: [name: string, value: string | undefined][] = [
    ["mlflow.source.git.commit", commit],
    ["mlflow.source.git.branch", branch],
    ["mlflow.source.git.repoURL", url],
    ["mlflow.source.git.dirty", diff === undefined ? undefined : String(diff.isDirty)],
  ];
  return {
    tags: Object.fromEntries(tags.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))),
    artifacts: diff?.artifacts ?? [],
  };
}

/** That of `origin`, or of the first remote. */
async function remoteOf(text: (...args: string[]) => Promise<string | undefined>): Promise<string | undefined> {
  const names = (await text("remote"))?.split("\n") ?? [];
  const name = names.includes("origin") ? "origin" : names[0];
  const url = name === undefined || name === "" ? undefined : await text("config", "--get", `remote.${name}.url`);
  return url === undefined ? undefined : withoutCredentials(url);
}

/** What is not committed of the files that git knows. Of binary files it says no more than that they differ. */
async function diffOf(
  root: string,
  say: Say,
): Promise<{ readonly isDirty: boolean; readonly artifacts: Facts["artifacts"] } | undefined> {
  const answer = await git(root, [...DIFF, "HEAD"], MAX_DIFF_BYTES);
  if (answer instanceof Error || (answer.code !== 0 && !answer.isCut)) {
    const why = answer instanceof Error ? answer.message : (answer.stderr.trim().split("\n")[0] ?? "");
    say(`uncommitted changes are not recorded: ${why}`);
    return undefined;
  }
  const { stdout, isCut } = answer;
  if (!isCut)
    return {
      isDirty: stdout.length > 0,
      artifacts: stdout.length === 0 ? [] : [{ path: "git/diff.patch", bytes: stdout }],
    };
  say(
    `uncommitted changes are more than ${MAX_DIFF_BYTES / 1e6} MB: which files they are in is recorded, not what they are`,
  );
  const stat = await git(root, [...DIFF, "--stat=200", "HEAD"], MAX_DIFF_BYTES);
  const isKnown = !(stat instanceof Error) && stat.code === 0;
  return { isDirty: true, artifacts: isKnown ? [{ path: "git/diff-stat.txt", bytes: stat.stdout }] : [] };
}

function git(directory: string, args: readonly string[], maxBytes = MAX_TEXT_BYTES): Promise<Answer | Error> {
  const env = {
    ...process.env,
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "",
    SSH_ASKPASS: "",
    GIT_OPTIONAL_LOCKS: "0",
    LC_ALL: "C",
  };
  return ask("git", [...OPTIONS, ...args], {
    cwd: directory,
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !ELSEWHERE.test(name))),
    timeoutMs: TIMEOUT_MS,
    maxBytes,
  });
}

/** A hook that started us has set these for its own repository. */
const ELSEWHERE =
  /^GIT_(?:DIR|WORK_TREE|INDEX_FILE|PREFIX|COMMON_DIR|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|NAMESPACE|EXTERNAL_DIFF|DIFF_OPTS|PAGER|TRACE.*)$/;

function lineOf({ stdout }: Answer): string {
  return stdout.toString().replace(/\r?\n$/, "");
}
