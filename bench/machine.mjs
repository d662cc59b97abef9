// On what, and with what, was measured.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

/** Lines to stand under the table. @param rows name → when it was measured, and how often each contender ran */
export function machine(rows) {
  const cpu = os.cpus();
  const days = [...new Set(Object.values(rows).map(({ at }) => at.slice(0, 10)))].sort();
  const runs = [...new Set(Object.values(rows).map((row) => row.runs))].sort((a, b) => a - b);
  const package_ = JSON.parse(readFileSync(path.resolve(import.meta.dirname, "../package.json"), "utf8"));
  return [
    `${cpu[0]?.model ?? os.arch()}, ${cpu.length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release().split(".", 2).join(".")}.`,
    `tracelet ${package_.version} (${revision()}), Node ${process.versions.node}, ${python()}, ${pinned().join(", ")}.`,
    `Medians of ${runs.join(" to ")} runs in turn, whole processes; ${days.join(" to ")}.`,
  ];
}

function revision() {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], { cwd: import.meta.dirname })
      .toString()
      .trim();
  } catch {
    return "no git";
  }
}

function python() {
  return execFileSync("python3", ["--version"]).toString().trim();
}

function pinned() {
  const folder = path.join(import.meta.dirname, "peers");
  const files = ["requirements.txt", "requirements-aim.txt", "requirements-trackio.txt"];
  const packages = files.flatMap((file) => readFileSync(path.join(folder, file), "utf8").match(/^[^#\s]+==\S+/gm));
  const cluster = ["17", "16", "15", "14"].find((version) => existsSync(`/usr/lib/postgresql/${version}/bin/initdb`));
  return [...new Set(packages.map((name) => name.replace("==", " "))), ...(cluster ? [`PostgreSQL ${cluster}`] : [])];
}
