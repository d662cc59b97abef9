/** Where tracelet and W&B's own TensorBoard sync differ on purpose, fixture by fixture: how often, and why. */

/** By reason, the row of the table in docs/wandb.md that tells of it. */
export const REASONS = {
  types: "scalars of type float16, bfloat16, bool, (u)int8, (u)int16, uint32, uint64",
  kinds: "text, audio",
  meshes: "meshes",
  formats: "images that are no PNG, JPEG, GIF or BMP",
  histograms: "V1 histograms",
  empty: "histograms without counts",
  curves: "PR curves",
  time: "their time",
  obsolete: "values that a restart made obsolete",
  tags: "an empty tag; a tag of the oldest writers, in `node_name`",
  names: "`events.out.TFEVENTS.…`",
  files: "`._events…` files (macOS)",
} as const;

type Reason = keyof typeof REASONS;

interface Differences {
  /** `missing`, `extra`, `value` or `time`, the key, and of how many points. */
  readonly [difference: string]: number;
}

/** Of the types that W&B's sync does not know, each written in three ways and two shapes. */
const DTYPES: Differences = Object.fromEntries(
  Object.entries({ float16: 7, bfloat16: 7, int8: 4, int16: 4, uint8: 4, uint16: 4, uint32: 4, uint64: 5, bool: 2 })
    .flatMap(([type, count]) => ["content", "packed", "unpacked"].map((way) => [`${type}/${way}`, count] as const))
    .flatMap(([name, count]) => ["[]", "[1]"].map((shape) => [`extra ${name}/${shape}`, count])),
);

/** By directory below fixtures/. Directories that are not here do not differ. */
export const DIFFERENCES: { readonly [directory: string]: { readonly [reason in Reason]?: Differences } } = {
  "accelerate-tracker/runs/tracked/trial-0": {
    kinds: { "extra phase/text_summary": 3 },
  },
  "accelerate-tracker/runs/tracked/trial-1": {
    kinds: { "extra phase/text_summary": 3 },
  },
  "copies-and-backups/runs/a": {
    files: { "extra loss": 133 },
  },
  "dtypes/runs/scalars": {
    types: DTYPES,
    time: { "time shape [1,1]": 1 },
  },
  "dtypes/runs/strings": {
    kinds: {
      "extra text/[]": 1,
      "extra text/[1]": 1,
      "extra text/[3]": 1,
      "extra text/[2,2]": 1,
      "extra text/[2,1,2]": 1,
      "extra text/[0]": 1,
      "extra text/one for [3]": 1,
      "extra text/not UTF-8": 1,
    },
  },
  "example/runs/baseline": {
    kinds: { "extra about/text_summary": 1 },
  },
  "example/runs/lr-0.01/bs-64": {
    kinds: { "extra about/text_summary": 1 },
  },
  "example/runs/lr-0.10/bs-32": {
    kinds: { "extra about/text_summary": 1 },
  },
  "hf-pruned-trials/runs/Apr01_10-00-00_host": {
    kinds: { "extra args/text_summary": 2 },
  },
  "histogram-float32/runs/hand": {
    histograms: { "value rustboard": 1 },
  },
  "histogram-float32/runs/torch": {
    histograms: { "value weights_20M": 1 },
  },
  "lightning-training/runs/lightning_logs/version_0": {
    time: { "time hp_metric": 1 },
  },
  "lightning-training/runs/lightning_logs/version_1": {
    time: { "time hp_metric": 1 },
  },
  "lightning/runs/by-hand": {
    time: { "time hp/steps": 1, "time hp/loss": 1 },
  },
  "lightning/runs/lightning_logs/version_0": {
    time: { "time hp_metric": 2 },
  },
  "odd/runs/names": {
    names: { "extra which file": 1 },
  },
  "odd/runs/tags": {
    tags: { "extra ": 1, "extra node/name": 1 },
  },
  "odd/runs/values": {
    kinds: { "extra audio/empty": 1, "extra audio/no wav": 1, "extra plugin changes": 1 },
    formats: {
      "extra image/no image": 1,
      "extra image/empty": 1,
      "extra image/svg": 1,
      "extra image/size is no number": 1,
      "extra kind changes": 1,
    },
  },
  "tensorboardx/runs/all": {
    meshes: { "extra mesh": 1 },
    kinds: { "extra stereo": 1, "extra note/text_summary": 1 },
    curves: { "value pr": 1 },
    time: { "time figure": 1, "time image": 1, "time video": 1, "time images": 1 },
  },
  "tf1/runs/restart": {
    obsolete: { "value loss": 3, "missing loss": 3 },
  },
  "tf1/runs/train": {
    kinds: { "extra sound/audio/0": 3, "extra note": 3, "extra new/note/text_summary": 3 },
    histograms: { "value weights": 3 },
  },
  "tf2/runs/media": {
    kinds: {
      "extra audio": 1,
      "extra audio/stereo": 1,
      "extra text/scalar": 1,
      "extra text/vector": 1,
      "extra text/table": 1,
      "extra text/empty": 1,
    },
  },
  "tf2/runs/plugins": {
    meshes: { "extra mesh": 1 },
    curves: { "value pr/pr_curves": 1 },
  },
  "tf2/runs/scalars": {
    types: { "extra write/uint8": 1, "extra write/float16": 2, "extra write/bfloat16": 1, "extra write/bool": 2 },
  },
  "torch-restart/runs/overlap": {
    kinds: { "extra note/text_summary": 4 },
  },
  "torch-restart/runs/purge": {
    kinds: { "extra note/text_summary": 3 },
    obsolete: {
      "value loss": 5,
      "missing loss": 5,
      "value val/loss": 1,
      "missing val/loss": 1,
      "missing only before the crash": 1,
    },
  },
  "torch-restart/runs/start-at-zero": {
    kinds: { "extra note/text_summary": 2 },
    obsolete: {
      "value loss": 4,
      "missing loss": 4,
      "value val/loss": 1,
      "missing val/loss": 1,
      "missing only before the crash": 1,
    },
  },
  "torch-restart/runs/two-purges": {
    kinds: { "extra note/text_summary": 3 },
    obsolete: {
      "value val/loss": 4,
      "missing val/loss": 5,
      "value loss": 11,
      "missing loss": 16,
      "missing only before the crash": 1,
    },
  },
  "torch/runs/histograms": {
    histograms: {
      "value default bins": 3,
      "value zero": 1,
      "value constant": 1,
      "value raw": 1,
      "value raw/empty ends": 1,
    },
    empty: { "missing raw/no counts": 1 },
    time: {
      "time bins/auto": 1,
      "time bins/fd": 1,
      "time integers": 1,
      "time bins/eight": 1,
      "time bins/at most six": 1,
    },
  },
  "torch/runs/media": {
    kinds: { "extra note/text_summary": 2, "extra tone": 2, "extra empty text/text_summary": 1 },
  },
  "torch/runs/plugins": {
    meshes: { "extra tetrahedron": 1, "extra points": 1 },
    curves: { "value pr curve": 2, "value pr curve raw": 1 },
  },
  "transformers-trainer/runs/out/runs/Nov27_15-43-54_fixture": {
    kinds: { "extra args/text_summary": 1, "extra model_config/text_summary": 1 },
  },
};
