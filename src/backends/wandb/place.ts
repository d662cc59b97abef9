/** Where runs go, and what each of them is given: options and environment, read as W&B's own client reads them. */
import { TraceletError } from "../../errors.ts";
import type { Environment } from "../../net/access.ts";
import { fitProject, fitTag } from "./names.ts";

/** What is asked for; see `WANDB_OPTIONS`. */
export interface AskedPlace {
  readonly wandbProject?: string | undefined;
  readonly wandbEntity?: string | undefined;
  readonly experiment?: string | undefined;
}

export interface Place {
  /** Address of the server, without a trailing slash; it may have a path. */
  readonly base: string;
  readonly project: string;
  /** A user or a team; undefined: the default one of the API key. */
  readonly entity: string | undefined;
  readonly group: string | undefined;
  readonly jobType: string | undefined;
  readonly tags: readonly string[];
}

const DEFAULT_BASE = "https://api.wandb.ai";
/** What W&B's client calls the project of runs that are given none. */
const NO_PROJECT = "uncategorized";

/** @throws TraceletError `usage` */
export function readPlace({ wandbProject, wandbEntity, experiment }: AskedPlace, env: Environment): Place {
  const project = wandbProject || env["WANDB_PROJECT"] || experiment || env["TRACELET_PROJECT"] || NO_PROJECT;
  const tags = (env["WANDB_TAGS"] ?? "").split(",").map(fitTag);
  return {
    base: readBase(env["WANDB_BASE_URL"] || DEFAULT_BASE),
    project: fitProject(project),
    entity: wandbEntity || env["WANDB_ENTITY"] || undefined,
    group: env["WANDB_RUN_GROUP"] || undefined,
    jobType: env["WANDB_JOB_TYPE"] || undefined,
    tags: [...new Set(tags.filter((tag) => tag !== ""))],
  };
}

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
    throw fault("is the address of W&B's web page", `set it to ${DEFAULT_BASE}, or unset it`);
  return url.origin + url.pathname.replace(/\/+$/, "");
}
