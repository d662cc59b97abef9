/** What a refused config had to do with it. */
import { TraceletError } from "../../errors.ts";
import { Refusal } from "../../net/refusal.ts";
import { jsonText, objectOf, parseJson } from "./json.ts";
import type { RunAddress } from "./store.ts";

/** Bytes from which on a 400 may be for its size. */
const LARGE = 256 * 1024;
/** Entries that are named. */
const MAX_NAMED = 3;
/** Characters of a name in a message. */
const MAX_SHOWN = 80;

/** `error`, or, where the config may be too large, one that tells its size and what makes it so. @param config JSON */
export function asConfigRefused(
  error: unknown,
  { entity, project, name }: RunAddress,
  config: string | undefined,
): unknown {
  if (!(error instanceof Refusal) || config === undefined) return error;
  const size = sentBytes(config);
  if (error.status !== 413 && (error.status !== 400 || size < LARGE)) return error;
  const entries = Object.entries(objectOf(parseJson(config)));
  const sizes = entries.map(([key, value]) => [key, sentBytes(jsonText(value))] as const).sort(([, a], [, b]) => b - a);
  const largest = sizes.slice(0, MAX_NAMED).map(([key, bytes]) => `${shown(key)}: ${bytes}`);
  const what = `the config of the run ${name} in ${entity}/${project} has ${size} bytes (the largest entries: ${largest.join(", ")})`;
  return new TraceletError("rejected", `${error.message}; ${what}`, {
    hint: "raise the limit of the server or of the proxy before it (nginx: client_max_body_size), or send less: _wandb grows with each metric (--exclude-tags), other entries are hyperparameters (--no-hparams)",
    cause: error,
  });
}

/** In a request it stands as a string. */
function sentBytes(json: string): number {
  return Buffer.byteLength(JSON.stringify(json));
}

function shown(key: string): string {
  const whole = JSON.stringify(key);
  if (key === "_wandb") return `${whole} (metrics)`;
  return whole.length <= MAX_SHOWN ? whole : `${whole.slice(0, MAX_SHOWN)}…`;
}
