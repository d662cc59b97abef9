// What `npm start` and `npm test` need on a machine that has Node, npm and Python only. Each step is done once, and
// again when what it depends on has changed.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

/** Run a program in the root, its output shown; ends this process if it fails. */
export function run(program, args, options = {}) {
  try {
    execFileSync(program, args, { cwd: root, stdio: "inherit", ...options });
  } catch (error) {
    if (typeof error.status !== "number") console.error(error.message);
    process.exit(error.status || 1);
  }
}

/** The packages of package-lock.json. */
export function installPackages() {
  unpackPackages();
  buildSqliteDriver();
}

/** The same without `better-sqlite3`'s binary, which few can do without. */
export function unpackPackages() {
  once("node_modules", hashOf(["package-lock.json"]), () => {
    console.error("Installing packages …");
    // Not `npm ci`: it refuses a lock file that does not list the binaries of every platform there is.
    run("npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
  });
}

/** The only package that has to be built, where there is no binary of it for this Node. Newer ones bring a driver. */
export function buildSqliteDriver() {
  const binary = "node_modules/better-sqlite3/build/Release/better_sqlite3.node";
  once(binary, hashOf(["package-lock.json"], process.versions.modules), () => {
    console.error("Building better-sqlite3 …");
    const { status } = spawnSync("npm", ["rebuild", "better-sqlite3", "--loglevel=error"], {
      cwd: root,
      stdio: "inherit",
    });
    if (status !== 0) console.error("better-sqlite3 could not be built; on Node 20 nothing works without it");
  });
}

/** dist/, from src/ as it is now. */
export function build() {
  once(
    "dist",
    hashOf(filesIn("src", "proto", "scripts/build.mjs", "scripts/generate.mjs", "package-lock.json")),
    () => {
      run(process.execPath, [path.join(root, "scripts/build.mjs")]);
    },
  );
}

/** A Python environment with the pinned packages of a file; returns its python. @param start as `run` */
export function pythonEnvironment(folder, requirements, start = run) {
  once(folder, hashOf([requirements]), () => {
    console.error(`Installing ${requirements} into ${folder} …`);
    rmSync(path.join(root, folder), { recursive: true, force: true });
    start("python3", ["-m", "venv", folder]);
    // Of the many thousand modules few are ever imported, and compiled then.
    const quick = ["--no-compile", "--quiet", "--disable-pip-version-check"];
    const pip = ["-m", "pip", "install", ...quick, "-r", requirements];
    start(path.join(root, folder, "bin/python"), pip);
  });
  return path.join(root, folder, "bin/python");
}

/** Another version of Node from npm; returns its executable. */
export function otherNode(version) {
  const folder = `.setup/node-${version}`;
  once(folder, version, () => {
    console.error(`Installing Node ${version} …`);
    mkdirSync(path.join(root, folder), { recursive: true });
    writeFileSync(path.join(root, folder, "package.json"), "{}");
    run("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", folder, `node@${version}`]);
  });
  return path.join(root, folder, "node_modules/node/bin/node");
}

/** Debian's packages, installed where that can be done without asking. @param wanted name → a file that it brings */
export function debianPackages(wanted) {
  const missing = Object.keys(wanted).filter((name) => !existsSync(wanted[name]));
  if (missing.length === 0 || process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return;
  console.error(`Installing ${missing.join(", ")} …`);
  run("apt-get", ["update", "-qq"]);
  run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "ignore", "inherit"],
  });
}

function once(name, fingerprint, work) {
  const stamp = path.join(root, ".setup", `${name.replaceAll("/", "-")}.stamp`);
  const done = existsSync(path.join(root, name)) && existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint;
  if (done) return;
  work();
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, fingerprint);
}

function filesIn(...places) {
  return places.flatMap((place) => {
    if (!existsSync(path.join(root, place))) return [];
    const found =
      path.extname(place) === "" ? readdirSync(path.join(root, place), { recursive: true, withFileTypes: true }) : [];
    if (path.extname(place) !== "") return [place];
    // What the build itself writes is no reason to build.
    const files = found.filter((entry) => entry.isFile() && !/(reader|offline)[\\/]proto$/.test(entry.parentPath));
    return files.map((entry) => path.relative(root, path.join(entry.parentPath, entry.name))).sort();
  });
}

function hashOf(files, extra = "") {
  const hash = createHash("sha256").update(extra);
  for (const file of files) hash.update(file).update(readFileSync(path.join(root, file)));
  return hash.digest("hex");
}
