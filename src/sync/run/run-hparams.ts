/**
 * The hyperparameters of a run: what its `hparams.yaml` files say, beside what its event files do. An event file's value
 * wins, but for the type: a YAML file knows an integer from a float.
 */
import { type Datum, type HparamValue, holdsHparams } from "../../reader/datum.ts";
import { PythonObject, type PythonValue, pythonText } from "../../reader/python-text.ts";
import { type FileProblem, problemOf } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import type { Member } from "../source/run-group.ts";
import { stampOf } from "../source/stamp.ts";

/** How many hyperparameters that cannot be read are named. */
const MAX_NAMED = 5;

export class RunHparams {
  /** Stamps of all files that were read, by the paths of the members that they lie in. */
  #stamps: ReadonlyMap<string, string>;
  /** What the files that changed say. */
  #found: ReadonlyMap<string, PythonValue> = new Map();
  #unreadable: ReadonlyMap<string, string> = new Map();
  /** What event files have said, the first word of each. */
  readonly #told = new Map<string, HparamValue>();

  /** @param stamps those of the files whose hyperparameters were sent */
  constructor(stamps: ReadonlyMap<string, string>) {
    this.#stamps = stamps;
  }

  get stamps(): ReadonlyMap<string, string> {
    return this.#stamps;
  }

  /** Whether files have said something that is still to be sent. */
  get isDue(): boolean {
    return this.#found.size + this.#unreadable.size > 0;
  }

  /** Read the files that have changed. */
  async read(members: readonly Member[], notes: Note[], problems: FileProblem[]): Promise<void> {
    const stamps = new Map<string, string>();
    const found = new Map(this.#found);
    const unreadable = new Map(this.#unreadable);
    for (const { path, run } of members) {
      const { hparamsFile } = run;
      if (hparamsFile === undefined) continue;
      const stamp = stampOf(hparamsFile);
      if (stamp !== this.#stamps.get(path)) {
        try {
          // It brings a YAML parser, which most runs do not need.
          const { readHparamsFile } = await import("../../reader/hparams-file.ts");
          const file = await readHparamsFile(hparamsFile);
          for (const [name, value] of file.hparams) add(found, name, value, notes);
          for (const [name, what] of file.unreadable) unreadable.set(name, what);
        } catch (error) {
          const problem = problemOf(hparamsFile, error, "malformed");
          problems.push(problem);
          // What it holds stays wrong until it changes; what kept it from being read may be over the next time.
          if (problem.kind !== undefined) continue;
        }
      }
      stamps.set(path, stamp);
    }
    this.#stamps = stamps;
    this.#found = found;
    this.#unreadable = unreadable;
  }

  /** Note what event files say. @returns the data with the types that the YAML files know */
  saw(data: readonly Datum[]): readonly Datum[] {
    return data.map((datum) => {
      if (datum.kind !== "hparams" || !holdsHparams(datum.record)) return datum;
      for (const [name, value] of datum.record.hparams) if (!this.#told.has(name)) this.#told.set(name, value);
      const hparams = new Map(Array.from(datum.record.hparams, ([name, value]) => [name, this.#typed(name, value)]));
      return { ...datum, record: { ...datum.record, hparams } };
    });
  }

  /** What the files say and no event file has, once these have been read as far as they were when the files were found. */
  rest(notes: Note[]): ReadonlyMap<string, PythonValue> {
    // Lightning takes apart some of what is one value in the file: an OrderedDict, a dataclass, a list of mappings.
    const apart = new Set(Array.from(this.#told.keys(), partsAbove).flat());
    const rest = new Map<string, PythonValue>();
    for (const [name, value] of this.#found) {
      const told = this.#told.get(name);
      if (told === undefined && !apart.has(name)) rest.set(name, value);
      else if (told !== undefined && !agrees(told, value)) {
        const message = `hyperparameter ${JSON.stringify(name)} is ${pythonText(told)}, as in its event file; hparams.yaml has ${pythonText(value)}`;
        notes.push({ code: "param-conflict", message });
      }
    }
    const lost = [...this.#unreadable].filter(([name]) => !this.#told.has(name) && !apart.has(name));
    if (lost.length > 0) {
      const named = lost.slice(0, MAX_NAMED).map(([name, what]) => `${JSON.stringify(name)} (${what})`);
      const more = lost.length > MAX_NAMED ? `, and ${lost.length - MAX_NAMED} more` : "";
      const message = `hyperparameters of hparams.yaml that only Python can read are skipped: ${named.join(", ")}${more}`;
      notes.push({ code: "unreadable-hparams", message });
    }
    return rest;
  }

  /** Note that all of it has been sent. */
  sent(): void {
    this.#found = new Map();
    this.#unreadable = new Map();
  }

  #typed(name: string, value: HparamValue): HparamValue {
    if (typeof value !== "number") return value;
    const exact = this.#exact(name);
    const knows = typeof exact === "bigint" || typeof exact === "boolean";
    return knows && Number(exact) === value ? exact : value;
  }

  /** What the files have under the name, or within a list under the beginning of it. */
  #exact(name: string): PythonValue | undefined {
    const whole = this.#found.get(name);
    const above = whole === undefined ? partsAbove(name).find((part) => this.#found.has(part)) : undefined;
    if (above === undefined) return whole;
    const parts = name.slice(above.length + 1).split("/");
    return parts.reduce<PythonValue | undefined>(itemOf, this.#found.get(above));
  }
}

function itemOf(value: PythonValue | undefined, part: string): PythonValue | undefined {
  if (value === null || typeof value !== "object" || value instanceof PythonObject) return undefined;
  const found = Object.getOwnPropertyDescriptor(value, part);
  return found?.value as PythonValue | undefined;
}

/** `a` and `a/b` of `a/b/c`. */
function partsAbove(name: string): string[] {
  return Array.from(name.matchAll(/\//g), ({ index }) => name.slice(0, index));
}

function add(found: Map<string, PythonValue>, name: string, value: PythonValue, notes: Note[]): void {
  const first = found.get(name);
  if (first === undefined) found.set(name, value);
  else if (pythonText(first) !== pythonText(value)) {
    const message = `hyperparameter ${JSON.stringify(name)} stays ${pythonText(first)}; another part of the run has ${pythonText(value)}`;
    notes.push({ code: "param-conflict", message });
  }
}

/** Whether the file says what Lightning writes into the event file for the same value. */
function agrees(told: HparamValue, value: PythonValue): boolean {
  // Lightning has a word of its own for some: the first number for a tensor.
  if (value instanceof PythonObject || pythonText(told) === pythonText(value)) return true;
  if (typeof told === "number") return typeof value !== "string" && Number(value) === told;
  // The name of an enum's member: RED of Color.RED.
  return typeof told === "string" && typeof value === "string" && told.endsWith(`.${value}`);
}
