/** Where runs go, and what each of them is given: options and environment, read as W&B's own client reads them. */
import { TraceletError } from "../../errors.ts";
import type { Environment } from "../../net/access.ts";
import { HOSTED } from "./login.ts";
import { fitProject, fitTag, MAX_TAG } from "./names.ts";
import { webPageOf } from "./web-page.ts";

/** What is asked for; see `WANDB_OPTIONS`. */
export interface AskedPlace {
  readonly wandbProject?: string | undefined;
  readonly wandbEntity?: string | undefined;
  readonly experiment?: string | undefined;
}

export interface Place {
  /** Address of the server, without a trailing slash; it may have a path. */
  readonly base: string;
  /** Address of its web page. */
  readonly page: string;
  readonly project: string;
  /** A user or a team; undefined: the default one of the API key. */
  readonly entity: string | undefined;
  readonly group: string | undefined;
  readonly jobType: string | undefined;
  readonly tags: readonly string[];
  /** Of each new run. */
  readonly notes: string | undefined;
}

/** What W&B's client calls the project of runs that are given none. */
const NO_PROJECT = "uncategorized";

/** @throws TraceletError `usage` */
export function readPlace({ wandbProject, wandbEntity, experiment }: AskedPlace, env: Environment): Place {
  const asked = askedProject({ wandbProject, experiment }, env);
  const project = fitProject(asked);
  if (project === undefined)
    throw new TraceletError("usage", `W&B takes no project called ${JSON.stringify(asked)}`, {
      hint: "name another one with --wandb-project or WANDB_PROJECT",
    });
  const tags = (env["WANDB_TAGS"] ?? "").split(",").map(fitTag);
  const base = readBase(env["WANDB_BASE_URL"] || HOSTED);
  return {
    base,
    page: webPageOf(base, env),
    project,
    entity: wandbEntity || env["WANDB_ENTITY"] || undefined,
    group: env["WANDB_RUN_GROUP"] || undefined,
    jobType: env["WANDB_JOB_TYPE"] || undefined,
    tags: [...new Set(tags.filter((tag) => tag !== ""))],
    notes: env["WANDB_NOTES"] || undefined,
  };
}

function askedProject({ wandbProject, experiment }: AskedPlace, env: Environment): string {
  return wandbProject || env["WANDB_PROJECT"] || experiment || env["TRACELET_PROJECT"] || NO_PROJECT;
}

/** What a user has to know: names that were changed to fit, and W&B's variables that mean nothing here. */
export function remarksOn(asked: AskedPlace, env: Environment): string[] {
  const remarks: string[] = [];
  const project = askedProject(asked, env);
  const fit = fitProject(project);
  if (fit !== project) {
    const [, entity, name] = /^\s*([\w.-]+)\/([\w.-]+)\s*$/.exec(project) ?? [];
    const instead = entity && name ? ` (${name} of ${entity} is --wandb-entity ${entity} --wandb-project ${name})` : "";
    const called = `it is called ${JSON.stringify(fit)} there${instead}`;
    remarks.push(`W&B takes no project called ${JSON.stringify(project)}; ${called}`);
  }
  const tags = (env["WANDB_TAGS"] ?? "").split(",").flatMap((tag) => (fitTag(tag) === tag.trim() ? [] : tag.trim()));
  if (tags.length > 0) remarks.push(`tags of WANDB_TAGS have ${MAX_TAG} characters at most there: ${tags.join(", ")}`);
  for (const [names, why] of WITHOUT_MEANING) {
    const set = names.filter((name) => env[name]);
    if (set.length > 0) remarks.push(`${set.join(", ")} ${set.length === 1 ? "is" : "are"} ignored: ${why}`);
  }
  return remarks;
}

const WITHOUT_MEANING: readonly (readonly [names: readonly string[], why: string])[] = [
  [["WANDB_NAME"], "runs are called as in TensorBoard, or as --run-name says"],
  [["WANDB_RUN_ID", "WANDB_RESUME"], "each run has an id of its own, by which it is resumed"],
  [["WANDB_SWEEP_ID"], "a logdir has many runs, and a sweep's agent one"],
];

function readBase(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const fault = (what: string, hint: string) => new TraceletError("usage", `WANDB_BASE_URL ${what}`, { hint });
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw fault("is not an http:// or https:// address", "set it to the address of your W&B server");
  if (url.username !== "" || url.password !== "")
    throw fault("holds a login, which W&B does not take there", "set WANDB_API_KEY");
  if (url.search !== "" || url.hash !== "") throw fault("has a query or a fragment", "leave out what follows the path");
  // People copy it from the browser: the page is at wandb.ai, the API is not.
  if (/^(www\.)?wandb\.ai$/.test(url.hostname))
    throw fault("is the address of W&B's web page", `set it to ${HOSTED}, or unset it`);
  return url.origin + url.pathname.replace(/\/+$/, "");
}
