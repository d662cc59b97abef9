import { availableParallelism } from "node:os";
import path from "node:path";
import type { ViteUserConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const cores = availableParallelism();

/** Bytes → values → pages, and nothing that lives longer than a test. Those that measure their process have one of their own. */
const PURE = [
  ...["graph", "histogram", "page", "pr-curve"].map((name) => `test/pages/${name}*.test.ts`),
  ...[
    "corpus",
    "masked",
    "plugins",
    "python",
    "record",
    "restarts",
    "scalar",
    "summary",
    "tag",
    "tensor",
    "text",
    "tfrecord",
  ].map((name) => `test/reader/${name}*.test.ts`),
];

// What never comes fails all the same; what comes late, on a busy machine, must not.
// By itself vitest would leave one core idle; some files wait most of the time.
const unit = { testTimeout: 300_000, hookTimeout: 300_000, maxWorkers: cores + 1 };

/** The files that take minutes begin first, so that none is left over for one core alone. */
class LongFirst extends BaseSequencer {
  static readonly long: readonly string[] = [
    ...[
      "model",
      "verify",
      "python-examples",
      "several",
      "mlflow-page",
      "kill",
      "sync-to-server",
      "wandb-kill",
      "wandb-offline",
      "wandb-twin",
      "pages",
      "media",
      "watch",
      "watch-endures",
    ],
    ...[
      "python-examples",
      "python-sessions",
      "asked-destination",
      "artifact-stores",
      "one-run",
      "databases",
      "refused",
      "rest-store",
      "wheel",
    ],
    ...["choice", "artifact-paths", "secrets", "watch-training", "engine-model", "verify-command", "watcher", "fuzz"],
    ...["watcher-model"],
  ];

  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => LongFirst.long.indexOf(path.basename(moduleId, ".test.ts"));
    const isLong = (file: TestSpecification) => rank(file) >= 0;
    const long = files.filter(isLong).sort((a, b) => rank(a) - rank(b));
    const sorted = [...long, ...(await super.sort(files.filter((file) => !isLong(file))))];
    // A process is kept for as long as the next file can share it.
    const isPure = ({ project }: TestSpecification) => project.name === "unit-pure";
    return [...sorted.filter((file) => !isPure(file)), ...sorted.filter(isPure)];
  }
}

const config: ViteUserConfig = {
  test: {
    sequence: { sequencer: LongFirst },
    projects: [
      {
        test: {
          name: "unit",
          include: [
            "test/{reader,net,recorder,sync,cli,config,pages,contract,files,library,writer,wandb}/**/*.test.ts",
            // With `exclude`, vitest would no longer heed its own option `--exclude`.
            ...PURE.map((files) => `!${files}`),
          ],
          ...unit,
        },
      },
      // A process for each file, and all modules of src/reader in it, took a quarter of the processor time.
      { test: { name: "unit-pure", include: PURE, isolate: false, ...unit } },
      {
        // Against real servers, which each file brings itself; so few files side by side, and none beside the unit tests.
        // On two cores three: each waits for something now and then.
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/e2e/support/global-setup.ts"],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          maxWorkers: Math.max(Math.min(3, cores + 1), cores >> 1),
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
};

export default config;
