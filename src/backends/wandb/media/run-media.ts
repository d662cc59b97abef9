/** The media of one run on their way: files first, so that no row names one that is not there. */
import type { ContentRefused } from "../../../net/refusal.ts";
import type { Datum } from "../../../reader/datum.ts";
import type { Note } from "../../../sync/report/note.ts";
import type { JsonValue } from "../json.ts";
import { keyOfDatum } from "../names.ts";
import { isTooLong } from "../rows.ts";
import type { RunFile } from "../store.ts";
import type { Encoded, Unstorable } from "./encoded.ts";
import { isEmpty, MEDIA_KINDS } from "./media-kinds.ts";

/** How many files are on their way together, and how many bytes that were made of values. */
const MAX_FILES = 64;
const MAX_BYTES = 16 * 1024 * 1024;

export interface RunMediaOptions {
  upload(files: readonly RunFile[]): Promise<ReadonlyMap<string, ContentRefused>>;
  /** The largest file that is stored, bytes. */
  readonly maxFileBytes: number;
}

/** What became of a batch's media. */
export interface SentMedia {
  /** JSON texts for rows, by the values they are of. */
  readonly values: ReadonlyMap<Datum, readonly string[]>;
  /** How the page draws a key. */
  readonly charts: ReadonlyMap<string, JsonValue>;
  /** Why W&B does not take them. */
  readonly refused: ReadonlyMap<Datum, string>;
  /** Those of which a file is too large. */
  readonly tooLarge: ReadonlySet<Datum>;
  /** Each given once a tag. */
  readonly notes: readonly Note[];
}

export class RunMedia {
  readonly #options: RunMediaOptions;
  /** Of which tags what was noted. */
  readonly #noted = new Set<string>();

  constructor(options: RunMediaOptions) {
    this.#options = options;
  }

  /** Resolves once all files are stored. @throws TraceletError */
  async send(data: readonly Datum[]): Promise<SentMedia> {
    const values = new Map<Datum, readonly string[]>();
    const charts = new Map<string, JsonValue>();
    const refused = new Map<Datum, string>();
    const tooLarge = new Set<Datum>();
    const notes: Note[] = [];
    const sent = { values, charts, refused, tooLarge, notes };
    const media = data.filter((datum) => MEDIA_KINDS.has(datum.kind) && !isEmpty(datum));
    if (media.length === 0) return sent;
    // Loaded for those runs only that have more than scalars.
    const { encode, groupsOf } = await import("./encode.ts");
    const waiting = new Map<readonly [Datum, ...Datum[]], Encoded>();
    let [files, bytes] = [0, 0];
    const flush = async () => {
      const errors = await this.#upload([...waiting.values()]);
      for (const [group, encoded] of waiting) {
        const [datum, ...others] = group;
        const error = encoded.files.map(({ path }) => errors.get(path)).find((each) => each !== undefined);
        if (error !== undefined) {
          for (const each of group) refused.set(each, error.reason);
          continue;
        }
        values.set(datum, encoded.values);
        for (const other of others) values.set(other, []);
        if (encoded.chart !== undefined) charts.set(keyOfDatum(datum), encoded.chart);
        if (encoded.note !== undefined) this.#note(datum, encoded.note, notes);
      }
      waiting.clear();
      [files, bytes] = [0, 0];
    };
    for (const group of groupsOf(media)) {
      const [datum] = group;
      const encoded = encode(group);
      if (encoded === undefined) continue;
      const reason = refusalOf(encoded, keyOfDatum(datum));
      if (reason !== undefined) for (const each of group) refused.set(each, reason);
      if ("refused" in encoded || reason !== undefined) continue;
      const large = encoded.files.find(({ body }) => body.length > this.#options.maxFileBytes);
      if (large !== undefined) {
        for (const each of group) tooLarge.add(each);
        this.#note(datum, oversized(datum, large.body.length), notes);
        continue;
      }
      waiting.set(group, encoded);
      files += encoded.files.length;
      for (const { body } of encoded.files) bytes += body.length;
      if (files >= MAX_FILES || bytes >= MAX_BYTES) await flush();
    }
    await flush();
    return sent;
  }

  async #upload(encoded: readonly Encoded[]): Promise<ReadonlyMap<string, ContentRefused>> {
    // Files of one path are one: the path tells the content.
    const files = new Map(encoded.flatMap((each) => each.files).map((file) => [file.path, file]));
    return files.size === 0 ? new Map() : this.#options.upload([...files.values()]);
  }

  #note({ kind, tag }: Datum, note: Note, notes: Note[]): void {
    const what = `${note.code} ${kind} ${tag}`;
    if (this.#noted.has(what)) return;
    this.#noted.add(what);
    notes.push(note);
  }
}

/** Why W&B does not take it, as far as that is known before. */
function refusalOf(encoded: Encoded | Unstorable, key: string): string | undefined {
  if ("refused" in encoded) return encoded.refused;
  const isLong = encoded.values.some((text) => isTooLong(key, text));
  return isLong ? "it is longer than a line of W&B's history can be" : undefined;
}

function oversized({ kind, tag, step }: Datum, bytes: number): Note {
  const message = `${kind} ${JSON.stringify(tag)}: those with a file larger than --max-artifact-size are skipped (the first: step ${step}, ${bytes} bytes)`;
  return { code: "oversize", message };
}
