/** Libraries that a page carries inside, read from their packages at run time. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

export interface Library {
  readonly script: string;
  readonly style: string;
  /** Whose it is; stands in the page as a comment. */
  readonly notice: string;
}

const require = createRequire(import.meta.url);
const loaded = new Map<string, Library>();

/** Line charts: the global `uPlot`. */
export function uplot(): Library {
  return load("uPlot", () => {
    const script = require.resolve("uplot/dist/uPlot.iife.min.js");
    return {
      script: read(script),
      style: read(path.join(path.dirname(script), "uPlot.min.css")),
      notice: "uPlot 1.6, (c) Leon Sorokin, MIT licence, https://github.com/leeoniya/uPlot",
    };
  });
}

/** Layout of directed graphs: the global `dagre`. */
export function dagre(): Library {
  return load("dagre", () => ({
    // The package exports its main file only; the minified one lies beside it.
    script: read(path.join(path.dirname(require.resolve("@dagrejs/dagre")), "dagre.min.js")),
    style: "",
    notice: "dagre 3, (c) 2012-2014 Chris Pettitt, MIT licence, https://github.com/dagrejs/dagre",
  }));
}

function load(name: string, make: () => Library): Library {
  const library = loaded.get(name) ?? make();
  loaded.set(name, library);
  return library;
}

/** A file as it may stand in an element: nothing that ends the element, no pointer to a file that is not there. */
function read(file: string): string {
  const text = readFileSync(file, "utf8").replace(/\/\/# sourceMappingURL=.*/g, "");
  if (/<\/(script|style)|<!--/i.test(text)) throw new Error(`${file} cannot stand inside a page`);
  return text.trim();
}
