// The Pythons of the end-to-end tests. By itself it installs them: minutes of one core, so beside other work.
import { pythonEnvironment } from "./setup.mjs";

/** @returns what the tests are told of them */
export function environments() {
  return {
    TRACELET_TEST_PYTHON: pythonEnvironment(".venv", "test/e2e/requirements.txt"),
    TRACELET_TEST_PYTHON_OLD: pythonEnvironment(".venv-old", "test/e2e/requirements-old.txt"),
  };
}

if (process.argv[1] === import.meta.filename) environments();
