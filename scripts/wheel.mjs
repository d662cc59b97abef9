// Builds the Python package: `npm run wheel [-- DIRECTORY [PYTHON]]`. The wheel carries dist/ and the packages that it needs
// at run time, all of them plain JavaScript: one wheel for every platform.
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { build, root, unpackPackages } from "./setup.mjs";

/** Nothing of these is read when tracelet runs. Licences stay. */
const NOT_RUN = /\.(map|[cm]?ts|md|markdown)$|[/\\](test|\.bin|node_modules)$/i;

const [directory = path.join(root, "python/dist"), python = "python3"] = process.argv.slice(2);
const javascript = path.join(root, "python/build/javascript");
unpackPackages();
build();
rmSync(javascript, { recursive: true, force: true });
for (const item of ["package.json", "LICENSE", "dist", ...runtimePackages()])
  cpSync(path.join(root, item), path.join(javascript, item), {
    recursive: true,
    filter: (source) => !NOT_RUN.test(source),
  });
cpSync(path.join(root, "LICENSE"), path.join(root, "python/LICENSE"));
const pip = ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", directory];
execFileSync(python, [...pip, path.join(root, "python")], { stdio: "inherit" });
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
console.log(path.resolve(directory, `tracelet_sync-${version}-py3-none-any.whl`));

/** node_modules/…, but for those that only development needs, and optional ones, which bring binaries. */
function runtimePackages() {
  const { packages } = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8"));
  return Object.entries(packages)
    .filter(([, { dev, devOptional, optional, peer }]) => !(dev || devOptional || optional || peer))
    .map(([folder]) => folder)
    .filter((folder) => folder !== "");
}
