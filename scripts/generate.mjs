// Generates a module from the .proto files of each format; a part of every build.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

/** By their directories in proto/: where the generated modules go. */
const GENERATED = {
  tensorboard: "src/reader/proto/tensorboard.js",
  wandb: "src/backends/wandb/offline/proto/wandb.js",
};

for (const [name, target] of Object.entries(GENERATED)) {
  const protos = readdirSync(path.join(root, "proto", name), { recursive: true })
    .filter((file) => file.endsWith(".proto"))
    .map((file) => path.join(name, file))
    .sort();
  const out = path.join(root, target);
  mkdirSync(path.dirname(out), { recursive: true });
  execFileSync(
    process.execPath,
    [
      path.join(root, "node_modules/protobufjs-cli/bin/pbjs"),
      ...["--target", "static-module", "--wrap", "esm", "--root", name, "--path", "proto", "--dts", "--out", out],
      ...["--no-create", "--no-verify", "--no-convert", "--no-delimited", "--no-typeurl"],
      ...protos,
    ],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"] },
  );
}
