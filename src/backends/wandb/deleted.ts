/** What is said of a run that somebody has deleted. */
import { TraceletError } from "../../errors.ts";
import type { RunAddress } from "./store.ts";

/** @param cause what the server has answered */
export function wasDeleted({ entity, project, name }: RunAddress, cause?: unknown): TraceletError {
  const hint =
    "restore it (the project's Overview on W&B's web page, Undelete recently deleted runs), or send it as a new run (--resend-deleted)";
  return new TraceletError("deleted", `its W&B run ${name} was deleted in ${entity}/${project}`, { hint, cause });
}
