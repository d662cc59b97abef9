import type { ViteUserConfig } from "vitest/config";

const config: ViteUserConfig = {
  test: {
    projects: [
      { test: { name: "unit", include: ["test/{reader,sync,cli,pages}/**/*.test.ts"] } },
      {
        // Against real servers: slow to start, so each file brings its own and they do not run side by side.
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
};

export default config;
