// What a row is given.
import { execFileSync } from "node:child_process";
import { pythonEnvironment, root } from "../scripts/setup.mjs";
import { shape } from "./shapes.mjs";

const REQUIREMENTS = {
  main: "requirements.txt",
  aim: "requirements-aim.txt",
  trackio: "requirements-trackio.txt",
  files: "requirements-files.txt",
  wandb: "requirements-wandb.txt",
};

/**
 * @param times how often each contender runs
 * @param folder for what the row writes; removed after it
 * @param results of other rows, by name
 */
export function contextOf({ name, times, cache, scale, folder, results }) {
  const say = (text) => process.stderr.write(`  ${text}\n`);
  return {
    times,
    folder,
    results,
    scale,
    say,
    /** A logdir of `shapes.mjs`. */
    shape: (of) => shape(of, cache, scale),
    /** The Python that has a peer. @throws Error if it cannot be installed */
    python: async (of) => pythonEnvironment(`.venv-bench-${of}`, `bench/peers/${REQUIREMENTS[of]}`, installQuietly),
    /** @throws Error if a sample has not all points */
    complete: (sample, points) => {
      if (sample.points === points) return sample;
      throw new Error(`${sample.points} of ${points} points`);
    },
    watch: {
      onSample: (contender, { wall, cpu, peak }) => {
        const cost = cpu === undefined ? "" : `, ${cpu.toFixed(2)} s CPU, ${Math.round(peak / 1e6)} MB`;
        say(`${name} ${contender}: ${wall.toFixed(3)} s${cost}`);
      },
    },
  };
}

/** A package that cannot be installed is a note in the table, not the end of the bench. */
function installQuietly(program, args) {
  try {
    execFileSync(program, args, { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    const said = String(error.stderr ?? error.message)
      .trim()
      .split("\n");
    throw new Error(`cannot be installed: ${said.findLast((text) => text.startsWith("ERROR")) ?? said.at(-1)}`, {
      cause: error,
    });
  }
}
