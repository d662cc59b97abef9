/** What it means that MLflow refuses a request. */
import { TraceletError } from "../../errors.ts";
import { Refusal } from "../../net/refusal.ts";

/**
 * Whether some of the points are there already and MLflow cannot cope with it. Older ones, up to 3.9 at least, compare
 * points that are sent again with what they have by a hundred, and then try to store all that are not among that hundred.
 *
 * Source: `_log_metrics` of mlflow/store/tracking/sqlalchemy_store.py.
 */
export function saysRepeated(refusal: Refusal): boolean {
  return (
    refusal.status === 400 && refusal.says(/IntegrityError|UniqueViolation|UNIQUE constraint|duplicate (key|entry)/i)
  );
}

/** Too large for a proxy, or too many for a server with other limits than MLflow's (Azure ML: 200 or 250). */
export function saysTooMuch(refusal: Refusal): boolean {
  if (refusal.status === 413) return true;
  return refusal.status === 400 && refusal.says(TOO_MUCH) && !refusal.says(/characters|length/i);
}

const TOO_MUCH = new RegExp(
  [
    "at most \\d+ (metrics|params|tags|bytes)",
    "metric.*(exceed|too many|more than)",
    "(exceed|over the size limit|more than|maximum|too many).*metric",
  ].join("|"),
  "i",
);

export function notFoundAsUndefined(error: unknown): undefined {
  if (error instanceof Refusal && error.is("RESOURCE_DOES_NOT_EXIST")) return undefined;
  throw error;
}

/** Somebody else was faster. */
export function ignoreDeleted(error: unknown): void {
  if (!(error instanceof TraceletError && error.code === "deleted")) throw error;
}

// The status of a write to something deleted is 400 INVALID_PARAMETER_VALUE, so only the text tells.
const NOT_ACTIVE = /must be in the 'active' state/;

/** `error`, or what it means for a run that was written to. */
export function asDeletedRun(error: unknown, runId: string): unknown {
  if (!(error instanceof Refusal)) return error;
  if (error.says(NOT_ACTIVE)) {
    return new TraceletError("deleted", `run ${runId} was deleted in MLflow`, {
      hint: `bring it back with \`mlflow runs restore --run-id ${runId}\``,
      cause: error,
    });
  }
  if (!error.is("RESOURCE_DOES_NOT_EXIST")) return error;
  return new TraceletError("deleted", `run ${runId} is not in this MLflow any more`, {
    hint: "it was removed for good, or the server has another database than before",
    cause: error,
  });
}

/** `error`, or what it means for an experiment that was written to. */
export function asDeletedExperiment(error: unknown, experimentId: string): unknown {
  if (!(error instanceof Refusal)) return error;
  if (error.says(NOT_ACTIVE)) return deletedExperiment(experimentId, error);
  if (!error.is("RESOURCE_DOES_NOT_EXIST")) return error;
  return new TraceletError("deleted", `experiment ${experimentId} is not in this MLflow any more`, {
    hint: "it was removed for good, or the server has another database than before",
    cause: error,
  });
}

export function deletedExperiment(experimentId: string, cause: Refusal): TraceletError {
  return new TraceletError("deleted", `experiment ${experimentId} was deleted in MLflow`, {
    hint: `bring it back with \`mlflow experiments restore --experiment-id ${experimentId}\`, or choose another name`,
    cause,
  });
}
