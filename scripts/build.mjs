// Builds dist/ from src/: the generated protobuf decoder, then TypeScript.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const run = (script, ...args) =>
  execFileSync(process.execPath, [path.join(root, script), ...args], { cwd: root, stdio: "inherit" });

run("scripts/generate.mjs");
rmSync(path.join(root, "dist"), { recursive: true, force: true });
run("node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json");
// tsc passes over the .js and .d.ts it did not make itself.
for (const generated of ["reader/proto", "backends/wandb/offline/proto"]) {
  cpSync(path.join(root, "src", generated), path.join(root, "dist", generated), { recursive: true });
}
chmodSync(path.join(root, "dist/cli/main.js"), 0o755);
run("scripts/config-schema.mjs");
