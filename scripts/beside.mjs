// What the tests need and what takes minutes of one core, so that it is made beside other work: by itself this makes the
// one that is named.
import { buildSqliteDriver, pythonEnvironment } from "./setup.mjs";

const MAKE = {
  /** The newest MLflow and TensorBoard. @returns its python */
  python: () => pythonEnvironment(".venv", "test/e2e/requirements.txt"),
  /** The oldest MLflow that tracelet promises to work with. @returns its python */
  oldPython: () => pythonEnvironment(".venv-old", "test/e2e/requirements-old.txt"),
  sqliteDriver: buildSqliteDriver,
};

/** Wait for it, if it is not there. @param what a name in `MAKE` */
export function made(what) {
  return MAKE[what]();
}

if (process.argv[1] === import.meta.filename) made(process.argv[2]);
