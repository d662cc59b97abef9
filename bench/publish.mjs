// Puts the table where people read it.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { root } from "../scripts/setup.mjs";

const BEGIN = "<!-- npm run bench -- --write: from here -->";
const END = "<!-- to here -->";

export function publish(report) {
  for (const name of ["README.md", "docs/performance.md"]) {
    const file = path.join(root, name);
    const text = readFileSync(file, "utf8");
    const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
    if (begin === -1 || end < begin) throw new Error(`${name} has no place for the table: ${BEGIN} … ${END}`);
    writeFileSync(file, `${text.slice(0, begin + BEGIN.length)}\n\n${report}\n\n${text.slice(end)}`);
  }
}
