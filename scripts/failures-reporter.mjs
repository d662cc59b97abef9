// A reporter of vitest's that writes how many tests have passed and what has failed to the file that TRACELET_TEST_REPORT
// names. Vitest's own JSON knows nothing of errors in hooks or outside of tests.
import { writeFileSync } from "node:fs";
import path from "node:path";
import { stripVTControlCharacters } from "node:util";

const MAX_LINES = 20;
const MAX_WIDTH = 300;

export default class FailuresReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state) => tests.filter((test) => test.result().state === state).length;
    const failures = [
      ...modules.flatMap(failuresIn),
      ...unhandledErrors.map((error) => `in no test\n${firstLines(error)}`),
    ];
    const counts = { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
    writeFileSync(process.env.TRACELET_TEST_REPORT, JSON.stringify({ ...counts, failures }));
  }
}

/** Of each test, of hooks, and of what could not be loaded. */
function failuresIn(module) {
  const file = path.relative(process.cwd(), module.moduleId);
  const parts = [
    { name: file, errors: module.errors() },
    ...[...module.children.allSuites()].map((suite) => ({
      name: `${file} > ${suite.fullName}`,
      errors: suite.errors(),
    })),
    ...[...module.children.allTests()].map((test) => ({
      name: `${file} > ${test.fullName}`,
      errors: test.result().errors ?? [],
    })),
  ];
  return parts.flatMap(({ name, errors }) => errors.map((error) => `${name}\n${firstLines(error)}`));
}

function firstLines({ message, diff, stacks }) {
  const at = stacks?.[0] && `at ${path.relative(process.cwd(), stacks[0].file)}:${stacks[0].line}`;
  const text = [message, diff, at].filter((part) => part).join("\n");
  const lines = stripVTControlCharacters(text).split("\n");
  const shown = lines.slice(0, MAX_LINES).map((line) => `    ${line.slice(0, MAX_WIDTH)}`);
  return [...shown, ...(lines.length > MAX_LINES ? [`    … ${lines.length - MAX_LINES} more lines`] : [])].join("\n");
}
