/** What `POST /files/<entity>/<project>/<run>/file_stream` carries, and what it does to the run. */
import { parseRow } from "./extended-json.ts";
import type { LineFile } from "./line-file.ts";
import { Refusal } from "./refusal.ts";
import type { StoredRun } from "./run.ts";

/**
 * Bytes of a line and of a request. W&B's client keeps lines below 10 MiB - 100 KiB and requests to about 10 MiB and a
 * line; where its server draws the line is not known.
 */
const MAX_LINE = 10 * 1024 * 1024;
export const MAX_REQUEST: number = 2 * MAX_LINE;

interface Chunk {
  readonly offset: number;
  readonly content: readonly string[];
}

/** @throws Refusal with nothing changed */
export function applyFileStream(run: StoredRun, body: string, now: number): void {
  const { files, complete, exitcode, uploaded, preempting } = fieldsOf(body);
  const chunks = Object.entries(files);
  for (const [name, chunk] of chunks) check(name, chunk);
  for (const [name, { offset, content }] of chunks) {
    const lines = linesOf(run, name);
    if (lines !== undefined && offset > lines.count) run.oddities.push(`a gap in ${name} before line ${offset}`);
    if (lines !== undefined) lines.write(offset, content);
    else run.summaryText = content.at(-1) ?? run.summaryText;
  }
  for (const name of uploaded) {
    if (!run.files.has(name)) run.oddities.push(`${name} was announced before it was uploaded`);
    run.announced.add(name);
  }
  run.heartbeatAt = now;
  run.isPreempting = preempting;
  run.isComplete = complete;
  run.exitCode = complete ? exitcode : null;
}

function fieldsOf(body: string): {
  files: { readonly [name: string]: Chunk };
  complete: boolean;
  exitcode: number | null;
  uploaded: readonly string[];
  preempting: boolean;
} {
  const known = ["files", "complete", "exitcode", "uploaded", "preempting", "dropped"];
  try {
    const fields = JSON.parse(body) as { [name: string]: unknown };
    for (const name of Object.keys(fields)) if (!known.includes(name)) throw new SyntaxError(`unknown field ${name}`);
    const { files = {}, complete = false, exitcode = null, uploaded = [], preempting = false } = fields;
    if (typeof complete !== "boolean" || typeof preempting !== "boolean") throw new SyntaxError("not a boolean");
    if (exitcode !== null && typeof exitcode !== "number") throw new SyntaxError("exitcode is no number");
    if (complete !== (exitcode !== null)) throw new SyntaxError("complete and exitcode come together");
    if (!isTexts(uploaded)) throw new SyntaxError("uploaded is no list of names");
    return { files: files as { [name: string]: Chunk }, complete, exitcode, uploaded, preempting };
  } catch (error) {
    throw new Refusal(400, `invalid request: ${String(error)}`);
  }
}

function check(name: string, { offset, content }: Chunk): void {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new Refusal(400, `${name}: offset ${offset}`);
  if (!isTexts(content)) throw new Refusal(400, `${name}: content is no list of lines`);
  const isJson = name.endsWith(".jsonl") || name.endsWith(".json");
  if (!isJson && name !== "output.log") throw new Refusal(400, `${name} is not streamed`);
  for (const [index, line] of content.entries()) {
    const where = `line ${offset + index} of ${name}`;
    if (Buffer.byteLength(line) > MAX_LINE) throw new Refusal(413, `${where} has more than ${MAX_LINE} bytes`);
    if (isJson) checkRow(line, where);
  }
}

function checkRow(line: string, where: string): void {
  try {
    // Most lines are JSON proper, which is checked at a tenth of the cost.
    if (!isPlainObject(line)) parseRow(line);
  } catch (error) {
    throw new Refusal(400, `${where} is no JSON object: ${String(error)}`);
  }
}

function isPlainObject(line: string): boolean {
  if (!line.startsWith("{")) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** Undefined for the summary, of which only the newest counts. @throws Refusal */
function linesOf(run: StoredRun, name: string): LineFile | undefined {
  switch (name) {
    case "wandb-history.jsonl":
      return run.history;
    case "wandb-events.jsonl":
      return run.events;
    case "output.log":
      return run.output;
    case "wandb-summary.json":
      return undefined;
    default:
      throw new Refusal(400, `${name} is not streamed`);
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
