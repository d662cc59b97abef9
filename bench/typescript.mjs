// The tests' equipment is TypeScript, which Node 20 does not run; Vite, which vitest brings, does.
import { fileURLToPath } from "node:url";
import { createViteServer } from "vitest/node";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** The modules of these files, given from the root on. */
export async function load(...files) {
  const vite = await createViteServer({
    root,
    configFile: false,
    appType: "custom",
    logLevel: "error",
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  });
  const modules = [];
  for (const file of files) modules.push(await vite.ssrLoadModule(`/${file}`));
  await vite.close();
  return modules;
}
