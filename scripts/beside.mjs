// What the tests need and what takes minutes of one core, so that it is made beside other work: by itself this makes the
// one that is named.
import { buildSqliteDriver, debianPackages, pythonEnvironment } from "./setup.mjs";

const MAKE = {
  /** The newest MLflow and TensorBoard. @returns its python */
  python: () => pythonEnvironment(".venv", "test/e2e/requirements.txt"),
  /** The oldest MLflow that tracelet promises to work with. @returns its python */
  oldPython: () => pythonEnvironment(".venv-old", "test/e2e/requirements-old.txt"),
  /** torch and Lightning. @returns its python */
  torchPython: () => pythonEnvironment(".venv-torch", "test/e2e/requirements-torch.txt"),
  /** W&B's client. @returns its python */
  wandbPython: () => pythonEnvironment(".venv-wandb", "test/e2e/requirements-wandb.txt"),
  sqliteDriver: buildSqliteDriver,
  debian: () =>
    debianPackages({
      // The browser that the pages are tested in.
      chromium: "/usr/bin/chromium",
      postgresql: "/usr/lib/postgresql",
      // MariaDB's programs without the service, which would be started at once.
      "mariadb-server-core": "/usr/sbin/mariadbd",
      // What creates the tables asks a program of the client's.
      "mariadb-client-core": "/usr/bin/my_print_defaults",
    }),
};

/** Wait for it, if it is not there. @param what a name in `MAKE` */
export function made(what) {
  return MAKE[what]();
}

if (process.argv[1] === import.meta.filename) made(process.argv[2]);
