import type { ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = {
  test: {
    projects: [
      { test: { name: "unit", include: ["test/{reader,sync,cli,pages}/**/*.test.ts"] } },
      {
        // Against real servers, which each file brings itself; so few files side by side, and none beside the unit tests.
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/e2e/support/global-setup.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
};

export default config;
