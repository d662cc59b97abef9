/** The independent readers: TensorBoard's and MLflow's own Python. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import type { Json } from "../../support/expected.ts";
import { runIn, scriptServer } from "./script-servers.ts";

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
export const NEW_PYTHON: string = pythonOf("TRACELET_TEST_PYTHON", ".venv");
export const OLD_PYTHON: string = pythonOf("TRACELET_TEST_PYTHON_OLD", ".venv-old");

/** Python with torch and Lightning, and without MLflow. */
export const TORCH_PYTHON: string = pythonOf("TRACELET_TEST_PYTHON_TORCH", ".venv-torch");

/** Python with W&B's client, and without MLflow. */
export const WANDB_PYTHON: string = pythonOf("TRACELET_TEST_PYTHON_WANDB", ".venv-wandb");

export async function readTensorBoard(logdir: string): Promise<{ [run: string]: { [tag: string]: Point[] } }> {
  return JSON.parse(await script(NEW_PYTHON, "read_tensorboard.py", [logdir])) as {
    [run: string]: { [tag: string]: Point[] };
  };
}

/** A value of a file of JSON lines; a step beyond 2^53 is a string. */
export type LinePoint = readonly [kind: string, step: number | string, wallTime: number | string, value: Json];

/** What `--backend jsonl` or `parquet` has written to a directory, or of `--backend csv` the scalars. */
export async function readFilesOf(
  backend: "jsonl" | "csv" | "parquet",
  out: string,
): Promise<{ [run: string]: { [tag: string]: LinePoint[] } }> {
  return JSON.parse(await script(NEW_PYTHON, `read_${backend}.py`, [out])) as {
    [run: string]: { [tag: string]: LinePoint[] };
  };
}

/** What Python's `jsonschema` has against configurations: for each its first error, or null. @param schema its file */
export async function schemaErrors(schema: string, configs: readonly object[]): Promise<(string | null)[]> {
  const texts = configs.map((config) => JSON.stringify(config));
  return JSON.parse(await script(NEW_PYTHON, "validate_schema.py", [schema, ...texts])) as (string | null)[];
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
export interface Artifacts {
  readonly [path: string]: readonly [size: number | null, sha256: string];
}

export async function readArtifacts(
  uri: string,
  runId: string,
  env: NodeJS.ProcessEnv = {},
  executable: string = NEW_PYTHON,
): Promise<Artifacts> {
  const runs = await script(executable, "read_artifacts.py", [uri, "run", runId], env);
  return Object.values(JSON.parse(runs) as { [run: string]: Artifacts })[0] as Artifacts;
}

/** The same of every run of an experiment. */
export async function readExperimentArtifacts(uri: string, experiment: string): Promise<{ [run: string]: Artifacts }> {
  return JSON.parse(await script(NEW_PYTHON, "read_artifacts.py", [uri, "experiment", experiment])) as {
    [run: string]: Artifacts;
  };
}

/** What MLflow has of a logdir's scalars against what TensorBoard reads in its files, as multisets of points. */
export interface Difference {
  /** Distinct points in the files. */
  readonly points: number;
  readonly lost: number;
  /** Stored once more than they should be, also in a second run of the same name. */
  readonly doubled: number;
  /** In no file. */
  readonly extra: number;
  /** The first few of them all. */
  readonly examples: readonly {
    readonly what: "lost" | "doubled" | "extra";
    readonly run: string;
    readonly tag: string;
    readonly step: string;
    readonly ms: string;
    readonly value: string;
  }[];
}

/**
 * @param uri what MLflow's client takes: a server, or a database
 * @param session the one run that all of the logdir's runs are, without those that are no part of it
 */
export async function difference(
  logdir: string,
  uri: string,
  experiment: string,
  session?: { readonly session: string; readonly without: readonly string[] },
): Promise<Difference> {
  const args = [logdir, uri, experiment, ...(session === undefined ? [] : [JSON.stringify(session)])];
  return JSON.parse(await script(NEW_PYTHON, "difference.py", args)) as Difference;
}

/** Download all artifacts of an experiment. @returns the folder of each run's */
export async function download(uri: string, experiment: string, folder: string): Promise<{ [run: string]: string }> {
  return JSON.parse(await script(NEW_PYTHON, "download.py", [uri, experiment, folder])) as { [run: string]: string };
}

/** What the configuration of a standalone projector names. */
export async function readEmbeddings(config: string): Promise<
  {
    readonly name: string;
    readonly tensor: readonly (readonly string[])[];
    readonly metadata: readonly string[];
    readonly sprite: readonly [width: number, height: number, format: string] | null;
    readonly dim: readonly number[] | null;
  }[]
> {
  return JSON.parse(await script(NEW_PYTHON, "read_embeddings.py", [config])) as Awaited<
    ReturnType<typeof readEmbeddings>
  >;
}

/** What the percentiles of histograms and the average precisions of a logdir's curves are, by the metrics' names. */
export async function deriveWithPython(logdir: string): Promise<{ [run: string]: { [tag: string]: Point[] } }> {
  return JSON.parse(await script(NEW_PYTHON, "derive.py", [logdir])) as { [run: string]: { [tag: string]: Point[] } };
}

/** Do to a run what a user of MLflow's client may do. */
export async function tamper(
  uri: string,
  runId: string,
  ...what: ["point", key: string] | ["file" | "param" | "delete"]
): Promise<void> {
  await script(NEW_PYTHON, "tamper.py", [uri, runId, ...what]);
}

/** `mlflow gc` of a run that was deleted. @param uri of the database @param server by which the run's files are reached */
export async function collectGarbage(uri: string, runId: string, server: string): Promise<void> {
  await script(NEW_PYTHON, "collect_garbage.py", [uri, runId], { MLFLOW_TRACKING_URI: server });
}

/** What `tracelet_sync` logs by hand, compared with what TensorBoard's own classes make of the same. */
export interface LoggedEvents {
  readonly events: number;
  /** Whose bytes are not theirs. */
  readonly different: readonly string[];
  readonly crcs: boolean;
  readonly histogram: readonly boolean[];
  readonly pixels: readonly boolean[];
  readonly samples: readonly boolean[];
  /** The tags that TensorBoard's reader finds, by kind. */
  readonly accumulated: { readonly [kind: string]: readonly string[] };
  readonly ignored: readonly string[];
  /** Methods that raised what they must not, and what. */
  readonly raised: readonly (readonly [string, string])[];
  /** Of the log. */
  readonly warnings: readonly string[];
}

export async function loggedEvents(folder: string): Promise<LoggedEvents> {
  return JSON.parse(await script(NEW_PYTHON, "logged_events.py", [folder])) as LoggedEvents;
}

/** What TensorBoard reads in the log directories of examples. */
export interface ExampleValues {
  /** By the directory below the example's own. */
  readonly scalars: { readonly [directory: string]: { readonly [tag: string]: readonly Point[] } };
  readonly counts: { readonly [kind: string]: number };
}

export async function readExamples(folder: string): Promise<{ readonly [example: string]: ExampleValues }> {
  return JSON.parse(await script(NEW_PYTHON, "read_examples.py", [folder])) as {
    readonly [example: string]: ExampleValues;
  };
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

function pythonOf(variable: string, folder: string): string {
  return process.env[variable] ?? path.resolve(import.meta.dirname, "../../..", folder, "bin/python");
}

async function script(executable: string, name: string, args: string[], more: NodeJS.ProcessEnv = {}): Promise<string> {
  const file = path.resolve(import.meta.dirname, "../python", name);
  const env = { ...process.env, ...more, MLFLOW_DISABLE_TELEMETRY: "true" };
  const server = scriptServer(executable);
  if (server !== undefined) return runIn(server, file, args, { env });
  const { stdout } = await run(executable, [file, ...args], { maxBuffer: 1 << 30, env });
  return stdout;
}
