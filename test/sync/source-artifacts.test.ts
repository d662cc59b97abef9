/** Files of the source that are sent as they are: when, and what becomes of those that cannot be. */
import { appendFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ArtifactStore } from "../../src/backends/artifacts/artifact.ts";
import { writeIndex } from "../../src/backends/artifacts/index-file.ts";
import { RunArtifacts } from "../../src/backends/artifacts/run-artifacts.ts";
import { LocalStore } from "../../src/backends/mlflow/artifact-stores/local.ts";
import { TraceletError } from "../../src/errors.ts";
import { type DiscoveredRun, discover } from "../../src/reader/discover.ts";
import type { RunHandle, SourceArtifact } from "../../src/sync/backend.ts";
import type { FileProblem } from "../../src/sync/report/file-problem.ts";
import type { Note } from "../../src/sync/report/note.ts";
import { Tally } from "../../src/sync/report/tally.ts";
import {
  type Attaching,
  attachEmbeddings,
  attachSource,
  isSourceAttached,
  type SourceFileEntry,
  sourceFilesOf,
} from "../../src/sync/run/source-artifacts.ts";
import { readProjector } from "../../src/sync/source/embeddings.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

/** A logdir of one run, and a run's artifacts in a folder. */
class World {
  readonly root: string = temporaryDirectory();
  readonly run: string = join(this.root, "runs/train");
  readonly folder: string = join(this.root, "artifacts");
  readonly stop = new AbortController();
  readonly tally = new Tally();
  readonly notes: Note[] = [];
  readonly problems: FileProblem[] = [];
  /** Paths that were put, in order. */
  readonly put: string[] = [];
  /** What putting a file throws, instead of doing it. */
  fault: (path: string) => TraceletError | undefined = () => undefined;
  /** What opening the store throws. */
  obstacle: TraceletError | undefined;
  readonly #artifacts = new RunArtifacts({
    source: "s",
    open: async () => this.#open(),
    tell: writeIndex,
    encoders: () => import("../../src/backends/mlflow/media/encode.ts"),
    timestamp: () => 0,
    maxBytes: Infinity,
  });

  static create(): World {
    const world = new World();
    onTestFinished(() => rmSync(world.root, { recursive: true, force: true }));
    mkdirSync(world.run, { recursive: true });
    world.write("events.out.tfevents.1.HOST", "one");
    world.write("events.out.tfevents.2.host", "two");
    world.write("hparams.yaml", "lr: 1");
    return world;
  }

  write(name: string, content: string): void {
    writeFileSync(join(this.run, name), content);
  }

  discovered(): DiscoveredRun {
    return discover(join(this.root, "runs")).runs[0] as DiscoveredRun;
  }

  files(): SourceFileEntry[] {
    return sourceFilesOf(this.discovered(), "train");
  }

  attaching(): Attaching {
    const { tally, notes, problems } = this;
    const backend = {
      attachFiles: (_: RunHandle, artifact: SourceArtifact) => this.#artifacts.attachFiles(artifact),
    };
    return { backend, handle: { id: "1", created: true, marks: [] }, signal: this.stop.signal, tally, notes, problems };
  }

  read(path: string): string {
    return readFileSync(join(this.folder, path), "utf8");
  }

  #open(): ArtifactStore {
    if (this.obstacle !== undefined) throw this.obstacle;
    const store = new LocalStore(this.folder);
    return {
      put: (artifact) => store.put(artifact),
      putFile: async (path, file, size) => {
        const error = this.fault(path);
        if (error !== undefined) throw error;
        this.put.push(path);
        await store.putFile(path, file, size);
      },
      get: (path) => store.get(path),
      digest: (path) => store.digest(path),
      list: (directory) => store.list(directory),
    };
  }
}

const HOST = expect.stringMatching(/^tensorboard\/train\/events\.out\.tfevents\.1\.HOST-[0-9a-f]{8}$/) as unknown;

describe("the source's own files", () => {
  test("are sent once, and again when they have changed", async () => {
    const world = World.create();
    const attached = new Map<string, string>();
    expect(isSourceAttached(world.files(), attached)).toBe(false);
    expect(await attachSource(world.files(), attached, world.attaching())).toBe(true);
    const second = "tensorboard/train/events.out.tfevents.2.host";
    expect(world.put).toEqual([HOST, second, "tensorboard/train/hparams.yaml"]);
    expect([world.read(second), world.read("tensorboard/train/hparams.yaml")]).toEqual(["two", "lr: 1"]);
    expect(isSourceAttached(world.files(), attached)).toBe(true);
    await attachSource(world.files(), attached, world.attaching());
    expect(world.put).toHaveLength(3);

    appendFileSync(join(world.run, "events.out.tfevents.2.host"), " and more");
    world.write("projector_config.pbtxt", "");
    expect(isSourceAttached(world.files(), attached)).toBe(false);
    await attachSource(world.files(), attached, world.attaching());
    expect(world.put.slice(3)).toEqual([second, "tensorboard/train/projector_config.pbtxt"]);
    expect(world.read(second)).toBe("two and more");
    expect(world.tally.kinds.get("source_files")).toMatchObject({ read: 5, sent: 5 });
    const index = JSON.parse(world.read("tracelet/index.json")) as { tag: string }[];
    expect(index).toEqual([{ kind: "tensorboard", tag: "train/events.out.tfevents.1.HOST", path: HOST }]);
  });

  test("are sent as they were found, also while they grow", async () => {
    const world = World.create();
    const files = world.files();
    appendFileSync(join(world.run, "events.out.tfevents.2.host"), " and more");
    const attached = new Map<string, string>();
    await attachSource(files, attached, world.attaching());
    expect(world.read("tensorboard/train/events.out.tfevents.2.host")).toBe("two");
    expect(isSourceAttached(world.files(), attached)).toBe(false);
  });

  test("that have become shorter or cannot be read are problems, and the others are sent", async () => {
    const world = World.create();
    const files = world.files();
    const [first, second] = ["events.out.tfevents.1.HOST", "events.out.tfevents.2.host"].map((n) => join(world.run, n));
    truncateSync(first as string, 1);
    rmSync(second as string);
    const attached = new Map<string, string>();
    expect(await attachSource(files, attached, world.attaching())).toBe(true);
    expect(world.problems).toEqual([
      { path: first, code: "shorter", detail: expect.stringContaining("shorter than it was") as string },
      { path: second, code: "ENOENT", kind: "gone" },
    ]);
    expect([...attached.keys()]).toEqual(["train/hparams.yaml"]);
    expect(world.tally.kinds.get("source_files")).toMatchObject({ read: 3, sent: 1, failed: 2 });
  });

  test("that the server does not take are left out; without a place for any, so are all", async () => {
    const world = World.create();
    world.fault = (path) => (path.endsWith("host") ? new TraceletError("rejected", "it is too large") : undefined);
    const attached = new Map<string, string>();
    await attachSource(world.files(), attached, world.attaching());
    expect(world.tally.kinds.get("source_files")).toMatchObject({ sent: 2, skipped: new Map([["refused", 1]]) });
    expect(world.notes.map(({ message }) => message)).toEqual(["it is too large"]);
    // It would be refused again.
    expect(isSourceAttached(world.files(), attached)).toBe(true);

    const nowhere = World.create();
    nowhere.obstacle = new TraceletError("unsupported", "no");
    const none = new Map<string, string>();
    await attachSource(nowhere.files(), none, nowhere.attaching());
    expect(nowhere.tally.kinds.get("source_files")).toMatchObject({ skipped: new Map([["no-file-storage", 3]]) });
    expect(none.size).toBe(0);
  });

  test("after an error or a stop, what was sent is remembered", async () => {
    const world = World.create();
    world.fault = (path) => (path.endsWith("yaml") ? new TraceletError("unreachable", "gone") : undefined);
    const attached = new Map<string, string>();
    await expect(attachSource(world.files(), attached, world.attaching())).rejects.toThrow("gone");
    expect(attached.size).toBe(2);
    expect(world.tally.kinds.get("source_files")).toMatchObject({ read: 3, sent: 2, failed: 1 });
    world.stop.abort();
    expect(await attachSource(world.files(), attached, world.attaching())).toBe(false);
    expect(world.put).toHaveLength(2);
  });
});

describe("embeddings", () => {
  const CONFIG = `
embeddings { tensor_name: "words" tensor_path: "words.tsv" metadata_path: "labels.tsv" }
embeddings { tensor_name: "gone" tensor_path: "gone.tsv" metadata_path: "words.tsv" }
embeddings { tensor_name: "secret" tensor_path: "../../secret.tsv" }
embeddings { tensor_name: "checkpoint" }`;

  async function attach(world: World): Promise<boolean> {
    const projector = await readProjector(world.discovered(), undefined);
    if (projector.state !== "changed") throw new Error(projector.state);
    return attachEmbeddings(projector.embeddings, "", world.attaching());
  }

  const config = (world: World) =>
    JSON.parse(world.read("embeddings/projector_config.json")) as { embeddings: { tensorName: string }[] };

  test("are counted one by one; what is missing of one that is sent is said", async () => {
    const world = World.create();
    world.write("projector_config.pbtxt", CONFIG);
    world.write("words.tsv", "1\t2\n");
    expect(await attach(world)).toBe(true);
    const skipped = new Map([
      ["not-found", 1],
      ["outside-run", 1],
      ["in-checkpoint", 1],
    ]);
    expect(world.tally.kinds.get("embeddings")).toEqual({ read: 4, derived: 0, sent: 1, failed: 0, skipped });
    expect(world.notes.map(({ message }) => message)).toEqual([
      'embedding "words" is without its metadata: labels.tsv does not exist',
    ]);
    expect(config(world)).toEqual({ embeddings: [{ tensorName: "words", tensorPath: "words/tensors.tsv" }] });
    expect(world.read("embeddings/words/tensors.tsv")).toBe("1\t2\n");
  });

  test("one that has gone since it was found fails; the others are shown", async () => {
    const world = World.create();
    world.write("projector_config.pbtxt", CONFIG);
    for (const name of ["words.tsv", "gone.tsv"]) world.write(name, "1\t2\n");
    const projector = await readProjector(world.discovered(), undefined);
    rmSync(join(world.run, "gone.tsv"));
    const embeddings = projector.state === "changed" ? projector.embeddings : [];
    expect(await attachEmbeddings(embeddings, "", world.attaching())).toBe(false);
    expect(world.tally.kinds.get("embeddings")).toMatchObject({ sent: 1, failed: 1 });
    expect(world.problems).toHaveLength(1);
    expect(config(world).embeddings.map(({ tensorName }) => tensorName)).toEqual(["words"]);
  });
});
