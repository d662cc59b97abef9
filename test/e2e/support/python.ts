/** The independent readers: TensorBoard's and MLflow's own Python. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

/** A point as text that only equal points share: step, wall time in ms, value. */
export type Point = readonly [step: string, ms: string, value: string];

export interface MlflowRun {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly start: number;
  readonly end: number | null;
  readonly params: { readonly [key: string]: string };
  readonly tags: { readonly [key: string]: string };
  readonly metrics: { readonly [key: string]: readonly Point[] };
  readonly latest: { readonly [key: string]: string };
}

const run = promisify(execFile);

/** Python with the newest MLflow, and with the oldest that tracelet promises to work with. */
export const NEW_PYTHON: string = python("TRACELET_TEST_PYTHON", ".venv");
export const OLD_PYTHON: string = python("TRACELET_TEST_PYTHON_OLD", ".venv-old");

export async function readTensorBoard(logdir: string): Promise<{ [run: string]: { [tag: string]: Point[] } }> {
  return JSON.parse(await script(NEW_PYTHON, "read_tensorboard.py", [logdir])) as {
    [run: string]: { [tag: string]: Point[] };
  };
}

/** An image in the form that `read_images.py` prints. */
export interface ImageTruth {
  readonly sha256: string;
  readonly moving: boolean;
  readonly size: readonly [width: number, height: number];
  readonly cells: readonly (readonly number[])[];
}

/** The images of each run and tag, by step. */
export interface ImagesTruth {
  readonly [run: string]: { readonly [tag: string]: readonly (readonly [step: number, images: ImageTruth[]])[] };
}

export async function readImages(logdir: string): Promise<ImagesTruth> {
  return JSON.parse(await script(NEW_PYTHON, "read_images.py", [logdir])) as ImagesTruth;
}

/** A logdir with one run, `pictures`, of images that can be told apart by their colours. */
export async function writeImages(logdir: string): Promise<void> {
  await script(NEW_PYTHON, "write_images.py", [logdir]);
}

export async function readMlflow(
  uri: string,
  experiment: string,
  executable: string = NEW_PYTHON,
): Promise<{ experiment: { tags: { [key: string]: string } }; runs: MlflowRun[] }> {
  return JSON.parse(await script(executable, "read_mlflow.py", [uri, experiment])) as Awaited<
    ReturnType<typeof readMlflow>
  >;
}

/** What MLflow's client finds of a run's artifacts: for each path the size that is listed and the SHA-256. */
export async function readArtifacts(
  uri: string,
  runId: string,
  env: NodeJS.ProcessEnv = {},
  executable: string = NEW_PYTHON,
): Promise<{ [path: string]: [size: number | null, sha256: string] }> {
  return JSON.parse(await script(executable, "artifacts.py", [uri, runId], env)) as Awaited<
    ReturnType<typeof readArtifacts>
  >;
}

/** Size and SHA-256 of every artifact of every run of an experiment, by path. */
export async function readExperimentArtifacts(
  uri: string,
  experiment: string,
): Promise<{ [run: string]: { [path: string]: readonly [bytes: number, sha256: string] } }> {
  return JSON.parse(await script(NEW_PYTHON, "read_artifacts.py", [uri, experiment])) as Awaited<
    ReturnType<typeof readExperimentArtifacts>
  >;
}

/** What MLflow should hold of a run: each distinct point once, since MLflow stores none twice. */
export function distinct(points: readonly Point[]): Point[] {
  const seen = new Map(points.map((point) => [point.join(" "), point]));
  return [...seen.values()].sort(comparePoints);
}

export function comparePoints(a: Point, b: Point): number {
  const [textA, textB] = [a.join(" "), b.join(" ")];
  return textA < textB ? -1 : Number(textA > textB);
}

/** A run's metrics under the tags that TensorBoard has for them. */
export function byTag({ metrics, tags }: MlflowRun): { [tag: string]: Point[] } {
  return Object.fromEntries(
    Object.entries(metrics).map(([key, points]) => [
      tags[`tracelet.tag.${key}`] ?? key,
      [...points].sort(comparePoints),
    ]),
  );
}

function python(variable: string, folder: string): string {
  return process.env[variable] ?? path.resolve(import.meta.dirname, "../../..", folder, "bin/python");
}

async function script(executable: string, name: string, args: string[], more: NodeJS.ProcessEnv = {}): Promise<string> {
  const file = path.resolve(import.meta.dirname, "../python", name);
  const env = { ...process.env, ...more, MLFLOW_DISABLE_TELEMETRY: "true" };
  const { stdout } = await run(executable, [file, ...args], { maxBuffer: 1 << 30, env });
  return stdout;
}
