// Generates src/reader/proto/tensorboard.{js,d.ts} from the .proto files; a part of every build.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const protos = readdirSync(path.join(root, "proto"), { recursive: true })
  .filter((name) => name.endsWith(".proto"))
  .sort();
const out = path.join(root, "src/reader/proto/tensorboard.js");
mkdirSync(path.dirname(out), { recursive: true });
execFileSync(
  process.execPath,
  [
    path.join(root, "node_modules/protobufjs-cli/bin/pbjs"),
    ...["--target", "static-module", "--wrap", "esm", "--path", "proto", "--dts", "--out", out],
    ...["--no-create", "--no-verify", "--no-convert", "--no-delimited", "--no-typeurl"],
    ...protos,
  ],
  { cwd: root, stdio: ["ignore", "inherit", "inherit"] },
);
