/**
 * Keeps a logdir that goes to one project in several ways, online and by offline directories, from having points twice
 * there. No way sees what the others hold, but the local state remembers what was sent in each.
 */
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import type { RunElsewhere } from "../../sync/backend.ts";
import type { FileMark } from "../../sync/source/fingerprint.ts";
import { type Address, addressIn, areOneProject } from "./address.ts";
import { shown, uploadsOf } from "./offline/uploads.ts";

export class Elsewhere {
  readonly #here: Address;
  #ask: ((id: string) => readonly RunElsewhere[]) | undefined;

  constructor(here: Address) {
    this.#here = here;
  }

  /** Begin to ask the state. */
  consult(ask: (id: string) => readonly RunElsewhere[]): void {
    this.#ask = ask;
  }

  /**
   * To be called before anything is added to a run.
   *
   * @param id of the run
   * @param marks how far this destination has each file, by key; empty if it does not have the run
   * @throws TraceletError `usage` if the run has points, or is to get some, that are not here
   */
  requireAll(id: string, marks: ReadonlyMap<string, FileMark>): void {
    const here = this.#here;
    for (const run of this.#ask?.(id) ?? []) {
      const there = addressIn(run.destination);
      if (there === undefined || there.root === here.root || !areOneProject(here, there)) continue;
      const error =
        here.root === undefined ? notUploaded(id, run, there, marks) : notHere(run, there, marks, here.root);
      if (error !== undefined) throw error;
    }
  }
}

/** Over the network. */
function notUploaded(
  id: string,
  run: RunElsewhere,
  { root = "" }: Address,
  marks: ReadonlyMap<string, FileMark>,
): TraceletError | undefined {
  const { waiting, uploaded } = uploadsOf(root, id);
  const [first] = waiting;
  if (first !== undefined)
    return refusal(
      `${first} waits for its upload: sent over the network as well, its points would be there twice`,
      `upload it first: wandb sync ${shown(root)}`,
    );
  // If the server has less of it, that was lost there.
  if (uploaded.length > 0 || holds(marks, run)) return undefined;
  return refusal(
    `what was written offline to ${root} is gone from there, and not all of it is at the server`,
    "if it waits elsewhere, upload it there first with `wandb sync`; if it is lost, `tracelet forget` the logdir with --backend wandb, and sync again",
  );
}

/** In the offline directory `root`. */
function notHere(
  run: RunElsewhere,
  there: Address,
  marks: ReadonlyMap<string, FileMark>,
  root: string,
): TraceletError | undefined {
  if (holds(marks, run)) return undefined;
  if (there.root === undefined)
    return refusal(
      `this logdir was sent over the network to ${there.base}, and ${root} does not hold all of that: uploaded from there, its points would be there twice`,
      "go on over the network (--wandb-mode online), now or once there is one again; or write to another project: --wandb-project",
    );
  return refusal(
    `this logdir was written to ${there.root} before: written to ${root} as well, and uploaded from both, its points would be there twice`,
    `go on there: WANDB_DIR=${shown(path.dirname(there.root))}; if that directory was moved, set WANDB_DIR to where it is now`,
  );
}

/** Whether all that was sent elsewhere is here. */
function holds(marks: ReadonlyMap<string, FileMark>, { isDone, marks: sent }: RunElsewhere): boolean {
  // More may have been sent than was acknowledged.
  if (!isDone) return false;
  return sent.every(({ key, offset, choice }) => {
    const mark = marks.get(key);
    // As far, under a choice that may have had more.
    if (mark?.offset === offset) return mark.choice === choice;
    return (mark?.offset ?? 0) >= offset;
  });
}

/** The same for the other runs of the logdir. */
function refusal(message: string, hint: string): TraceletError {
  return new TraceletError("usage", message, { hint, endsAll: true });
}
