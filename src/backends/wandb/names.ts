/**
 * Names that W&B takes. Its client refuses the others; here they are made to fit, since a logdir's names were not chosen
 * for W&B.
 */
import type { Datum } from "../../reader/datum.ts";
import { hashText } from "../../sync/source/fingerprint.ts";

/** Characters of a project's name. */
const MAX_PROJECT = 128;
/** Characters of a tag, and of a run's name on the web page. */
export const MAX_TAG = 64;
const MAX_DISPLAY_NAME = 128;
/** Characters of a name's hash where the name was cut: two that begin alike stay two. */
const HASH_LENGTH = 8;

/**
 * None of `/ \ # ? % :`, no white space at its ends, and at most 128 characters.
 *
 * @returns undefined if nothing is left, or only `.` or `..`, which mean something else in an address
 */
export function fitProject(name: string): string | undefined {
  const fit = shortened(name.replace(/[/\\#?%:]/g, "-").trim(), MAX_PROJECT);
  return fit === "" || fit === "." || fit === ".." ? undefined : fit;
}

/** Without white space at its ends, at most 64 characters; may be empty. */
export function fitTag(tag: string): string {
  return shortened(tag.trim(), MAX_TAG);
}

export function fitDisplayName(name: string): string {
  return shortened(name, MAX_DISPLAY_NAME);
}

/** W&B's own key in configs and summaries. */
export const OWN_KEY = "_wandb";
/** What the steps of TensorBoard are called, also by W&B's own sync: each tag is drawn over its own. */
export const STEP_AXIS = "global_step";
/** The keys that W&B itself writes into rows and summaries. */
export const OWN_KEYS: ReadonlySet<string> = new Set(["_step", "_timestamp", "_runtime", OWN_KEY]);

const PREFIX = "tensorboard/";

/** What a tag is called in rows. Different tags get different keys: one that is another's new name is renamed as well. */
export function keyOf(tag: string): string {
  const name = tag.slice(tag.match(/^(tensorboard\/)*/)?.[0].length);
  return OWN_KEYS.has(name) || name === STEP_AXIS ? `${PREFIX}${tag}` : tag;
}

/** What a value is called in rows: the parts of a mesh have tags of their own, and it has one name. */
export function keyOfDatum(datum: Datum): string {
  return keyOf(datum.kind === "mesh" ? datum.mesh : datum.tag);
}

function shortened(name: string, most: number): string {
  const characters = [...name];
  if (characters.length <= most) return name;
  return `${characters.slice(0, most - HASH_LENGTH - 1).join("")}-${hashText(name).slice(0, HASH_LENGTH)}`;
}
