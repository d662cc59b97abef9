/**
 * Ids of runs and experiments as a destination tells them. They are shown in commands that a user may copy into a shell, so
 * nothing is taken for one that MLflow itself would not give out.
 *
 * Source: `_RUN_ID_REGEX`, `_EXPERIMENT_ID_REGEX` in mlflow/utils/validation.py.
 */
import { TraceletError } from "../../errors.ts";

const RUN_ID = /^[a-zA-Z0-9][\w-]{0,255}$/;
const EXPERIMENT_ID = /^[a-zA-Z0-9][\w-]{0,63}$/;

/** The text itself. @throws TraceletError `rejected` if it is no id of a run */
export function runId(text: string): string {
  return checked(text, RUN_ID, "run");
}

/** The text itself. @throws TraceletError `rejected` if it is no id of an experiment */
export function experimentId(text: string): string {
  return checked(text, EXPERIMENT_ID, "experiment");
}

function checked(text: string, form: RegExp, what: string): string {
  if (form.test(text)) return text;
  const shown = JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
  throw new TraceletError("rejected", `the MLflow names a ${what} ${shown}, which is no id that an MLflow gives out`, {
    hint: "check the address, and who may write to that MLflow",
  });
}
