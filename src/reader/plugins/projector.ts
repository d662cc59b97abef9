/**
 * The embedding projector. Its data never enters an event file: `projector_config.pbtxt`, protobuf's text format, lies
 * beside it and names the files that hold them.
 *
 * protobufjs ships a reader of that format (`protobufjs/ext/textformat.js`), which cannot be used here: it refuses
 * unknown fields, and it needs the whole of the reflection that the generated decoder does without.
 */
import type { EventFileEntry } from "../discover.ts";
import { UnreadableError } from "./plugin.ts";

/** One embedding. Paths are as written: relative to the configuration's directory, or absolute. */
export interface ProjectorEmbedding {
  /** As torch writes it, the tag and the step: `default:00002`. */
  readonly tensorName: string;
  /** TSV of the vectors, one a line; empty if they are in a checkpoint. */
  readonly tensorPath: string;
  /** TSV of the labels. */
  readonly metadataPath: string;
  /** One image that holds a small one for every vector, row by row. */
  readonly spriteImagePath: string;
  /** Width and height of a small one in pixels. */
  readonly singleImageDim: readonly number[];
  /** Number of vectors and their length; mostly not given. */
  readonly tensorShape: readonly number[];
  readonly bookmarksPath: string;
}

/** What `projector_config.pbtxt` says; strings that are not given are empty. */
export interface ProjectorConfig {
  readonly embeddings: readonly ProjectorEmbedding[];
  readonly modelCheckpointPath: string;
  readonly modelCheckpointDir: string;
}

const MAX_BYTES = 16 * 1024 * 1024;

/**
 * Read a run's `projector_config.pbtxt`.
 *
 * @throws UnreadableError if it is no text format; its store's error if it cannot be read; Error if it is too large
 */
export async function readProjectorFile(entry: EventFileEntry): Promise<ProjectorConfig> {
  if (entry.size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
  return parseProjectorConfig(Buffer.from((await entry.store.whole(entry)).bytes).toString());
}

/**
 * Read the text of a `projector_config.pbtxt`. Unknown fields are passed over, and of a single-valued field that is given
 * twice the last one counts.
 *
 * Source: tensorboard/plugins/projector/projector_config.proto.
 *
 * @throws UnreadableError if the text is no text format; the file may just be half written
 */
export function parseProjectorConfig(text: string): ProjectorConfig {
  const config = new TextFormat(text).message("", 0);
  return {
    embeddings: all(config, "embeddings").map((embedding) => {
      const sprite = all(embedding, "sprite").at(-1);
      return {
        tensorName: string(embedding, "tensor_name"),
        tensorPath: string(embedding, "tensor_path"),
        metadataPath: string(embedding, "metadata_path"),
        spriteImagePath: string(sprite, "image_path"),
        singleImageDim: all(sprite, "single_image_dim").map(Number),
        tensorShape: all(embedding, "tensor_shape").map(Number),
        bookmarksPath: string(embedding, "bookmarks_path"),
      };
    }),
    modelCheckpointPath: string(config, "model_checkpoint_path"),
    modelCheckpointDir: string(config, "model_checkpoint_dir"),
  };
}

/** A message's fields in order; a scalar is kept as its text. */
type Value = string | Message;
type Message = Map<string, Value[]>;

function all(message: Value | undefined, field: string): readonly Value[] {
  return message instanceof Map ? (message.get(field) ?? []) : [];
}

function string(message: Value | undefined, field: string): string {
  const value = all(message, field).at(-1);
  return typeof value === "string" ? value : "";
}

const MAX_DEPTH = 100;
// None of these repeats a group: V8 keeps a place to come back to for each turn, and ends with an error after millions.
const SPACE = /\s+|#[^\n]*/y;
const FIELD = /[A-Za-z0-9_]+|\[[^\]\n]*\]/y;
const NUMBER_OR_WORD = /-?\s*[A-Za-z0-9_.]+(?:(?<=[0-9.][eE])[+-]?[0-9]+)?[fF]?/y;
const PIECE = { '"': /[^"\\\n]+|\\[^]/y, "'": /[^'\\\n]+|\\[^]/y } as const;
const ESCAPE = /\\(?:[xX]([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([^]))/g;
const CONTROLS: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };

/** Protobuf's text format, read without a schema. Source: https://protobuf.dev/reference/protobuf/textformat-spec/ */
class TextFormat {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text.replace(/^\uFEFF/, "");
  }

  /** @param end the bracket that closes the message; empty for the whole text */
  message(end: string, depth: number): Message {
    if (depth > MAX_DEPTH) throw this.#error(`at most ${MAX_DEPTH} messages inside each other`);
    const fields: Message = new Map();
    for (;;) {
      this.#space();
      if (end === "" ? this.#at === this.#text.length : this.#skip(end)) return fields;
      const name = this.#take(FIELD);
      if (name === "") throw this.#error(end === "" ? "a field" : `a field or ${end}`);
      const values = fields.get(name) ?? [];
      fields.set(name, values);
      this.#values(values, depth);
      if (!this.#skip(",")) this.#skip(";");
    }
  }

  #values(into: Value[], depth: number): void {
    const colon = this.#skip(":");
    if (!this.#skip("[")) {
      into.push(this.#value(colon, depth));
      return;
    }
    if (this.#skip("]")) return;
    do into.push(this.#value(true, depth));
    while (this.#skip(","));
    if (!this.#skip("]")) throw this.#error("] or ,");
  }

  #value(scalarPossible: boolean, depth: number): Value {
    if (this.#skip("{")) return this.message("}", depth + 1);
    if (this.#skip("<")) return this.message(">", depth + 1);
    if (!scalarPossible) throw this.#error(": or {");
    // Adjacent literals are one string, and may split a character between them.
    const pieces: Uint8Array[] = [];
    for (let literal = this.#literal(); literal !== ""; literal = this.#literal()) {
      pieces.push(bytesOfLiteral(literal.slice(1, -1)));
      this.#space();
    }
    if (pieces.length > 0) return Buffer.concat(pieces).toString("utf8");
    const scalar = this.#take(NUMBER_OR_WORD);
    if (scalar === "") throw this.#error("a value");
    return integerOrText(scalar);
  }

  #space(): void {
    while (this.#take(SPACE) !== "");
  }

  /** A string with its quotation marks; empty if none stands here, or one without its end. */
  #literal(): string {
    const start = this.#at;
    const quote = this.#text[start];
    if (quote !== '"' && quote !== "'") return "";
    this.#at++;
    while (this.#take(PIECE[quote]) !== "");
    if (this.#text[this.#at] === quote) return this.#text.slice(start, ++this.#at);
    this.#at = start;
    return "";
  }

  /** The text that `pattern` matches here, which is passed over; empty if it does not match. */
  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  /** Whether `character` comes next, behind any space; if so, it is passed over, and the space behind it. */
  #skip(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    this.#space();
    return true;
  }

  #error(possible: string): UnreadableError {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    const rest = this.#text.slice(this.#at, this.#at + 20);
    const found = rest === "" ? "the end" : JSON.stringify(rest);
    return new UnreadableError(`line ${line}: found ${found}; possible is ${possible}`);
  }
}

/** Escapes stand for bytes, so that `\303\244` is one "ä". */
function bytesOfLiteral(literal: string): Uint8Array {
  const pieces: Uint8Array[] = [];
  let last = 0;
  for (const match of literal.matchAll(ESCAPE)) {
    const [whole, hex, octal, short, long, letter] = match;
    pieces.push(Buffer.from(literal.slice(last, match.index)));
    last = match.index + whole.length;
    const point = Number.parseInt(short ?? long ?? "", 16);
    if (hex !== undefined) pieces.push(Uint8Array.of(Number.parseInt(hex, 16)));
    else if (octal !== undefined) pieces.push(Uint8Array.of(Number.parseInt(octal, 8)));
    else if (letter !== undefined)
      pieces.push(CONTROLS[letter] ? Uint8Array.of(CONTROLS[letter]) : Buffer.from(letter));
    else pieces.push(Buffer.from(String.fromCodePoint(point <= 0x10ffff ? point : 0xfffd)));
  }
  pieces.push(Buffer.from(literal.slice(last)));
  return Buffer.concat(pieces);
}

/** A number in octal becomes one in decimal, so that `Number` reads it rightly; hexadecimal it knows. */
function integerOrText(scalar: string): string {
  const text = scalar.replace(/\s/g, "");
  return /^0[0-7]+$/.test(text) ? String(Number.parseInt(text, 8)) : text;
}
