/** The interpreter that a run was made by: its version, and the packages that it finds. */
import type { Facts } from "./facts.ts";
import { ask } from "./program.ts";
import { withoutCredentials } from "./remote-url.ts";

/** A cold disk with thousands of packages takes its time. */
const TIMEOUT_MS = 30_000;
const MAX_BYTES = 4 << 20;

/**
 * Prints what is asked for as JSON. It imports no package and runs nothing of the working directory; packages are listed as
 * `pip freeze` lists them, from the metadata that pip leaves.
 *
 * Source: pip/_internal/operations/freeze.py, PEP 610.
 */
const SCRIPT = `
import sys
if sys.path and sys.path[0] in ("", "."): del sys.path[0]
import json, platform, re
try:
    from importlib.metadata import distributions
except ImportError:
    distributions = list
packages = {}
for each in distributions():
    name = each.metadata["Name"]
    key = re.sub(r"[-_.]+", "-", name or "").lower()
    if not name or key in packages: continue
    try:
        direct = json.loads(each.read_text("direct_url.json") or "null")
    except ValueError:
        direct = None
    packages[key] = [name, each.version, direct]
print(json.dumps({
    "version": platform.python_version(), "implementation": platform.python_implementation(),
    "platform": platform.platform(), "host": platform.node(),
    "packages": [packages[key] for key in sorted(packages)],
}))
`;

/** Those that pip leaves out, since they come with an environment. */
const OF_THE_ENVIRONMENT: ReadonlySet<string> = new Set(["pip", "setuptools", "distribute", "wheel"]);

interface Told {
  readonly version: string;
  readonly implementation: string;
  readonly platform: string;
  readonly host: string;
  readonly packages: readonly (readonly [name: string, version: string, direct: DirectUrl | null])[];
}

/** Where a package was installed from, if not from an index. */
interface DirectUrl {
  readonly url: string;
  readonly subdirectory?: string;
  readonly dir_info?: { readonly editable?: boolean };
  readonly vcs_info?: { readonly vcs: string; readonly commit_id: string };
  readonly archive_info?: { readonly hash?: string };
}

/** @param interpreter a path, or a name that is looked for on PATH @returns undefined if it cannot be asked */
export async function pythonFacts(interpreter: string, say: (message: string) => void): Promise<Facts | undefined> {
  const answer = await ask(interpreter, ["-B", "-c", SCRIPT], { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
  const why =
    answer instanceof Error
      ? answer.message
      : answer.code === 0
        ? undefined
        : (answer.stderr.trim().split("\n").at(-1) ?? "it failed");
  const told = answer instanceof Error || why !== undefined ? undefined : parsed(answer.stdout);
  if (told === undefined) {
    say(`the Python environment is not recorded: ${interpreter}: ${why ?? "its answer cannot be read"}`);
    return undefined;
  }
  return {
    tags: {
      "env.python": told.version,
      "env.python_implementation": told.implementation,
      "env.platform": told.platform,
      "env.host": told.host,
    },
    artifacts: [{ path: "env/requirements.txt", bytes: Buffer.from(requirementsOf(told)) }],
  };
}

function parsed(stdout: Buffer): Told | undefined {
  try {
    // Whatever an interpreter's start-up prints stands before it.
    return JSON.parse(stdout.toString().trim().split("\n").at(-1) ?? "") as Told;
  } catch {
    return undefined;
  }
}

function requirementsOf({ packages }: Told): string {
  const byName = [...packages].sort(([a], [b]) => compare(a.toLowerCase(), b.toLowerCase()));
  return byName.flatMap(([name, version, direct]) => lineOf(name, version, direct)).join("");
}

function lineOf(name: string, version: string, direct: DirectUrl | null): string[] {
  if (OF_THE_ENVIRONMENT.has(name.toLowerCase())) return [];
  if (direct === null) return [`${name}==${version}\n`];
  const url = withoutCredentials(direct.url) ?? "";
  if (direct.dir_info?.editable === true)
    return [`# Editable install with no version control (${name}==${version})\n-e ${url.replace(/^file:\/\//, "")}\n`];
  const { vcs_info: vcs, archive_info: archive, subdirectory } = direct;
  const place = vcs === undefined ? url : `${vcs.vcs}+${url}@${vcs.commit_id}`;
  const fragments = [archive?.hash, subdirectory === undefined ? undefined : `subdirectory=${subdirectory}`];
  const fragment = fragments.filter((each) => each !== undefined).join("&");
  return [`${name} @ ${place}${fragment === "" ? "" : `#${fragment}`}\n`];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
