/**
 * Tags → where their files lie among a run's artifacts.
 *
 * A path comes from the tag alone, so that a file sent again replaces itself. It means the same file to MLflow, to an
 * object store and to a disk that folds case or Unicode normal forms, and no two tags share one: a tag that is safe and
 * equals its own folded form stays as it is; any other is made safe and ends in 8 hex digits of its digest, which a tag
 * that stays as it is never does.
 *
 * Source: `path_not_unique` in mlflow/utils/validation.py, `validate_path_is_safe` in mlflow/utils/uri.py.
 */
import { createHash } from "node:crypto";
import { trimmed, unreserved, within } from "../../encode/safe-names.ts";

/** Folder below a run's artifacts, one a kind of file. */
export type ArtifactRoot =
  | "artifacts"
  | "audio"
  | "custom_scalars"
  | "embeddings"
  | "graph"
  | "histograms"
  | "hparams"
  | "images"
  | "media"
  | "mesh"
  | "pr_curves"
  | "tensorboard"
  | "tensors"
  | "text"
  | "videos";

/** What a logged file's path may not begin with: tracelet's own files are there. */
const OWN_ROOTS: ReadonlySet<string> = new Set([
  "tracelet",
  ...([
    "artifacts",
    "audio",
    "custom_scalars",
    "embeddings",
    "graph",
    "histograms",
    "hparams",
    "images",
    "media",
    "mesh",
    "pr_curves",
    "tensorboard",
    "tensors",
    "text",
    "videos",
  ] satisfies ArtifactRoot[]),
]);

/** One line of the run's `index.json`. */
export interface ArtifactEntry {
  readonly kind: ArtifactRoot;
  readonly tag: string;
  /** What the paths of the tag's files begin with. */
  readonly path: string;
}

/** Of a part, in bytes; behind it still fits the longest of endings, `@<step>-<i>.run_metadata.pb`, within 120. */
const MAX_PART = 80;
/** Of a tag's parts together, in bytes; the folder and the file's name still fit around them. */
const MAX_PATH = 320;
/** Of a part of a source file's path, in bytes; with a digest behind it, it still is a name on every disk. */
const MAX_SOURCE_PART = 200;
/** Of an image's key, in characters; step, time, uuid and ending still fit into one file name of 255 bytes. */
const MAX_KEY = 100;

/** What MLflow, Windows or a URL gives a meaning to, and what no reader sees or some file systems leave out. */
const UNSAFE = /[%#\\:?*"<>|\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;
const EDGES = /^[. ]+|(?<![. ])[. ]+$/g;
/**
 * The dot or `@` of what looks like one of tracelet's own files: `text/a/5.md` is step 5 of the tag `a`, and never a folder
 * for the tag `a/5.md`.
 */
const OWN_ENDING =
  /\.(?=(?:aac|bin|bmp|bytes|flac|gif|html|jpg|json|jsonl|m4a|md|mp3|npy|ogg|pb|pbtxt|ply|png|run_metadata|svg|tsv|txt|wav|webp)$)|@(?=-?\d+(?:-\d+)?$)/gi;
const DIGEST_ENDING = /-[0-9a-f]{8}$/i;

const KEY = /^[a-zA-Z0-9_\-./ ]+$/;
const NOT_IN_KEY = /[^a-zA-Z0-9_\-./ ]/g;

/** The paths of one run's tags, each of which it remembers. */
export class ArtifactPaths {
  readonly #entries = new Map<string, ArtifactEntry>();
  readonly #reserved: RegExp | undefined;

  /** @param reserved paths that no file that a program logged may have, beside tracelet's own */
  constructor(reserved?: RegExp) {
    this.#reserved = reserved;
  }

  /** The folder of a tag's files: `text/loss`. */
  directory(kind: ArtifactRoot, tag: string): string {
    return this.#record(kind, tag, () => `${kind}/${pathOfTag(tag)}`);
  }

  /** The one file of a tag: `graph/model.pb`. A kind uses an extension either here or inside of `directory`, not both. */
  file(kind: ArtifactRoot, tag: string, extension: string): string {
    return `${this.directory(kind, tag)}.${extension}`;
  }

  /**
   * Where a file of the source goes: `tensorboard/train/events.out.tfevents.1`. TensorBoard finds runs and event files by
   * their names, so directories stay as they are where MLflow lets them, and what tells paths apart on a disk that folds
   * case is a digest behind an event file's name, which then still is one.
   *
   * @param source path of the file within its run
   */
  sourceFile(source: string): string {
    const parts = source.split("/");
    const safe = parts.map(safeSourcePart);
    const base = parts.at(-1) as string;
    const stays = safe.join("/") === source;
    const alone = stays && folded(source) === source && !parts.some((part) => DIGEST_ENDING.test(part));
    if (!alone && base.includes("tfevents")) {
      const cut = trimmed(safeSourceName(base), MAX_SOURCE_PART, OWN_ENDING);
      safe.pop();
      safe.push(`${cut}${cut.includes("tfevents") ? "" : ".tfevents"}-${digestOf(source)}`);
    }
    const path = `tensorboard/${safe.join("/")}`;
    return path === `tensorboard/${source}` ? path : this.#record("tensorboard", source, () => path);
  }

  /**
   * Where a file that a program logged goes: to the path it was logged under, as far as a tracker takes that; into
   * `artifacts/` where tracelet's or the tracker's own files would be in its way.
   */
  loggedFile(logged: string): string {
    const safe = logged.split("/").map(safeSourcePart);
    const isOwn =
      OWN_ROOTS.has(folded(safe[0] as string)) || /^graph\./i.test(logged) || this.#reserved?.test(logged) === true;
    const path = `${isOwn ? "artifacts/" : ""}${safe.join("/")}`;
    return path === logged ? path : this.#record("artifacts", logged, () => path);
  }

  /**
   * The key under which MLflow's image grid shows an image, and which it reads out of the file's name. An image alone
   * takes the tag's, of several each takes one behind it: `tag/0`, `tag/1`.
   *
   * Source: `log_image` in mlflow/tracking/client.py.
   */
  imageKey(tag: string, index: number, count: number): string {
    const path = this.#record("images", tag, () => `images/${keyOfTag(tag).replaceAll("/", "~")}`);
    const key = path.slice("images/".length).replaceAll("~", "/");
    return count === 1 ? key : `${key}/${index}`;
  }

  /** Every tag that got a path, in the order of the first time. */
  entries(): ArtifactEntry[] {
    return [...this.#entries.values()];
  }

  #record(kind: ArtifactRoot, tag: string, pathOf: () => string): string {
    const id = `${kind}/${tag}`;
    const known = this.#entries.get(id);
    if (known) return known.path;
    const path = pathOf();
    this.#entries.set(id, { kind, tag, path });
    return path;
  }
}

function pathOfTag(tag: string): string {
  const parts = tag.split("/").map(safePart);
  const kept = parts.filter((part) => part !== "");
  const safe = within(kept.length === 0 ? ["_"] : kept, MAX_PATH, OWN_ENDING);
  if (safe.join("/") === tag && folded(tag) === tag && !DIGEST_ENDING.test(tag)) return tag;
  const digest = `-${digestOf(tag)}`;
  const cut = within(safe, MAX_PATH - digest.length, OWN_ENDING);
  const last = trimmed(cut.at(-1) as string, MAX_PART - digest.length, OWN_ENDING);
  return [...cut.slice(0, -1), `${last}${digest}`].join("/");
}

function safePart(part: string): string {
  return trimmed(
    unreserved(part.replace(UNSAFE, "_").replace(EDGES, "_").replace(OWN_ENDING, "_")),
    MAX_PART,
    OWN_ENDING,
  );
}

function safeSourcePart(part: string): string {
  const safe = safeSourceName(part);
  if (safe === part && Buffer.byteLength(part) <= MAX_SOURCE_PART) return part;
  return `${trimmed(safe, MAX_SOURCE_PART, OWN_ENDING)}-${digestOf(part)}`;
}

function safeSourceName(part: string): string {
  return unreserved(part.replace(UNSAFE, "_").replace(EDGES, "_"));
}

/** The same for all names that some file system takes for one. */
function folded(text: string): string {
  return text.normalize("NFD").toUpperCase().toLowerCase().normalize("NFC");
}

function keyOfTag(tag: string): string {
  // The grid keeps its keys in a plain object, where this one would be lost.
  const fits = KEY.test(tag) && tag.length <= MAX_KEY && tag !== "__proto__";
  if (fits && !DIGEST_ENDING.test(tag)) return tag;
  const plain = tag.normalize("NFKD").replace(/\p{M}/gu, "").replace(NOT_IN_KEY, "_");
  return `${plain.slice(0, MAX_KEY) || "_"}-${digestOf(tag)}`;
}

function digestOf(tag: string): string {
  return createHash("sha256").update(tag).digest("hex").slice(0, 8);
}
