// Builds the Python package from dist/ as it is: `node scripts/wheel.mjs [DIRECTORY [PYTHON]]`. The wheel carries dist/
// and the packages that it needs at run time, all of them plain JavaScript: one wheel for every platform.
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { root } from "./setup.mjs";

/** Nothing of these is read when tracelet runs. Licences stay. */
const NOT_RUN = /\.(map|[cm]?ts|md|markdown)$/i;

const [directory = path.join(root, "python/dist"), python = "python3"] = process.argv.slice(2);
const javascript = path.join(root, "python/build/javascript");
rmSync(javascript, { recursive: true, force: true });
for (const item of ["package.json", "LICENSE", "dist", ...runtimePackages()])
  cpSync(path.join(root, item), path.join(javascript, item), {
    recursive: true,
    filter: (source) => !NOT_RUN.test(source) && path.basename(source) !== ".bin",
  });
cpSync(path.join(root, "LICENSE"), path.join(root, "python/LICENSE"));
const pip = ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", directory];
execFileSync(python, [...pip, path.join(root, "python")], { stdio: "inherit" });
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
console.log(path.resolve(directory, `tracelet_sync-${version}-py3-none-any.whl`));

/** node_modules/…, as npm would install them without optional packages, which bring binaries. */
function runtimePackages() {
  const list = ["ls", "--all", "--parseable", "--omit=dev", "--omit=optional", "--omit=peer"];
  const found = execFileSync("npm", list, { cwd: root, encoding: "utf8" }).trim().split("\n");
  return found.map((folder) => path.relative(root, folder)).filter((folder) => folder !== "");
}
