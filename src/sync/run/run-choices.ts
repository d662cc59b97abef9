/** The choice in force for a run, and those that its files were sent under before. */
import type { Backend, RunHandle } from "../backend.ts";
import type { Note } from "../report/note.ts";
import type { FileMark } from "../source/fingerprint.ts";
import type { StoredRun } from "../state/stored-run.ts";
import { type Choice, choiceId, choiceOf, choiceText, DEFAULT_CHOICE, isHarmless } from "../transform/choice.ts";
import type { LimitOptions } from "../transform/limits.ts";
import { NO_RULES } from "../transform/metrics/rules.ts";
import type { TransformOptions } from "../transform/transform.ts";
import type { SourceFile } from "./source-file.ts";

/** Where the parts of a choice come from. */
export interface ChoiceContext {
  readonly backend: Pick<Backend, "maxFileBytes">;
  readonly restarts: Choice["restarts"];
  readonly transform: TransformOptions;
  readonly limits?: LimitOptions;
  readonly maxRecordBytes: number;
}

/** The choice that a context stands for. */
export function chosenBy({ backend, restarts, transform, limits = {}, maxRecordBytes }: ChoiceContext): Choice {
  return { restarts, transform, limits, maxFileBytes: backend.maxFileBytes ?? Infinity, maxRecordBytes };
}

/** Its id. It is asked for each of thousands of runs, and a context does not change. */
export function chosenId(context: ChoiceContext): string {
  const known = CHOSEN.get(context);
  if (known !== undefined) return known;
  const id = choiceId(choiceText(chosenBy(context)));
  CHOSEN.set(context, id);
  return id;
}

const CHOSEN = new WeakMap<ChoiceContext, string>();

export class RunChoices {
  readonly now: Choice;
  readonly id: string;
  readonly #text: string;
  readonly #stored: StoredRun;
  readonly #texts: Map<string, string>;
  /** What the destination has of it. */
  #there: Pick<RunHandle, "choice" | "choices"> = {};

  constructor(context: ChoiceContext, stored: StoredRun) {
    this.now = chosenBy(context);
    this.#text = choiceText(this.now);
    this.id = choiceId(this.#text);
    this.#stored = stored;
    this.#texts = new Map([...stored.choices, [choiceId(DEFAULT_CHOICE), DEFAULT_CHOICE], [this.id, this.#text]]);
  }

  /** Take over what the destination keeps. */
  opened({ choice, choices }: RunHandle): void {
    this.#there = { choice, choices };
    for (const [id, text] of choices ?? []) {
      if (!this.#texts.has(id) && choiceId(text) === id && isHarmless(text)) this.#texts.set(id, text);
    }
  }

  /** Where a file does not tell what it was sent under, a version without choices has sent it: that counts as this one. */
  adopt(files: readonly SourceFile[]): void {
    for (const file of files) {
      file.choice ??= this.#stored.choice ?? this.id;
      if (file.start === 0) file.caughtUp(this.id);
    }
  }

  /** Whether all that the choice lets in of the files so far was sent. */
  hasAll(files: readonly SourceFile[]): boolean {
    return files.every(({ choice }) => choice === this.id);
  }

  /** The choices that any of the files was sent under, by id; undefined for one that nobody remembers. */
  past(files: readonly SourceFile[]): Map<string, Choice | undefined> {
    const ids = new Set(files.flatMap(({ choice, until }) => [choice ?? this.id, ...Object.keys(until)]));
    return new Map(
      Array.from(ids, (id) => {
        const text = this.#texts.get(id);
        return [id, text === undefined ? undefined : this.#withCode(choiceOf(text))] as const;
      }),
    );
  }

  /** Code is no part of a choice's text: what was sent before is taken for its work, too. */
  #withCode(choice: Choice | undefined): Choice | undefined {
    const code = this.now.transform.metrics?.transform;
    if (code === undefined || choice === undefined) return choice;
    const metrics = { ...NO_RULES, ...choice.transform.metrics, transform: code };
    return { ...choice, transform: { ...choice.transform, metrics } };
  }

  /** How far each of them has been sent of a file. */
  until({ choice, until, start }: SourceFile): Map<string, number> {
    return new Map([...Object.entries(until), [choice ?? this.id, start]]);
  }

  /** What the destination is to be told of it with these marks. */
  toTell(marks: readonly FileMark[]): { readonly id: string; readonly text: string } | undefined {
    const isKnown =
      this.#there.choice === this.#text || (this.#there.choice === undefined && this.#text === DEFAULT_CHOICE);
    if (isKnown || !marks.some(({ choice }) => choice === this.id)) return undefined;
    return { id: this.id, text: this.#text };
  }

  /** Note that it has been told. */
  told(): void {
    this.#there = { ...this.#there, choice: this.#text };
  }

  /** Note in what is remembered of the run how far it is. */
  remember(files: readonly SourceFile[]): void {
    const ids = this.past(files).keys();
    this.#stored.choices = new Map(
      Array.from(ids).flatMap((id) => {
        const text = this.#texts.get(id);
        return text === undefined ? [] : [[id, text] as const];
      }),
    );
    this.#stored.choice = this.hasAll(files) ? this.id : BEHIND;
  }
}

/** No choice has this id. */
const BEHIND = "behind";

/** That some of what is there would not be sent now. */
export function narrowed(run: string, values: number): Note {
  const which = values === 1 ? "1 value that was" : `${values} values that were`;
  return { code: "narrowed", message: `${run} keeps ${which} sent under an earlier choice and would not be sent now` };
}
