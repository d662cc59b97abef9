import { availableParallelism } from "node:os";
import type { ViteUserConfig } from "vitest/config";

const cores = availableParallelism();

const config: ViteUserConfig = {
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/{reader,sync,cli,pages}/**/*.test.ts"],
          // What never comes fails all the same; what comes late, on a busy machine, must not.
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // By itself vitest would leave one core idle; some files wait most of the time.
          maxWorkers: cores + 1,
        },
      },
      {
        // Against real servers, which each file brings itself; so few files side by side, and none beside the unit tests.
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/e2e/support/global-setup.ts"],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          maxWorkers: Math.max(2, cores >> 1),
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
};

export default config;
