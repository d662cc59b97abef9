/**
 * Arithmetic over metrics: `a - b`, `({val/loss} - {train/loss}) / {train/loss}`, `log(loss)`.
 *
 *     sum     = product { ("+" | "-") product }
 *     product = sign { ("*" | "/") sign }
 *     sign    = "-" sign | power
 *     power   = atom [ "^" sign ]                    binds as Python's ** does
 *     atom    = number | tag | function "(" sum { "," sum } ")" | "(" sum ")"
 *
 * A tag of letters, digits, `_` and `.` stands as it is; any other stands in braces.
 */
import { TraceletError } from "../../../errors.ts";

export interface Expression {
  /** The metrics it needs, in the order they first appear. */
  readonly tags: readonly string[];
  /** @param values those of `tags` */
  readonly evaluate: (values: Float64Array) => number;
}

type Term = (values: Float64Array) => number;

const FUNCTIONS: ReadonlyMap<string, (...numbers: number[]) => number> = new Map(
  Object.entries({ abs: Math.abs, sqrt: Math.sqrt, log: Math.log, exp: Math.exp, min: Math.min, max: Math.max }),
);
/** These take any number of arguments, the others one. */
const VARIADIC: ReadonlySet<string> = new Set(["min", "max"]);
/** How deep terms may nest. */
const MAX_DEPTH = 50;
/** Characters. */
const MAX_LENGTH = 1000;

const TOKEN =
  /\s*(?:(?<number>\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|(?<name>[\p{L}_][\p{L}\p{N}_.]*)|\{(?<tag>[^{}]+)\}|(?<sign>[-+*/^(),]))/uy;

interface Token {
  readonly kind: "number" | "name" | "tag" | "sign" | "end";
  readonly text: string;
}

/** @throws TraceletError `usage` */
export function parseExpression(text: string): Expression {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  readonly #tokens: Token[] = [];
  readonly #tags: string[] = [];
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    if (text.length > MAX_LENGTH) throw this.#error(`it is longer than ${MAX_LENGTH} characters`);
    const source = text.trimEnd();
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < source.length) {
      const from = TOKEN.lastIndex;
      const groups = TOKEN.exec(source)?.groups;
      if (groups === undefined) throw this.#error(`${JSON.stringify(source.slice(from).trim()[0])} is not part of one`);
      const [kind, token] = Object.entries(groups).find(([, part]) => part !== undefined) as [Token["kind"], string];
      this.#tokens.push({ kind, text: token });
    }
  }

  parse(): Expression {
    const term = this.#sum();
    if (this.#next.kind !== "end") throw this.#error(`${JSON.stringify(this.#next.text)} is not expected there`);
    if (this.#tags.length === 0) throw this.#error("it names no metric");
    return { tags: this.#tags, evaluate: term };
  }

  get #next(): Token {
    return this.#tokens[this.#at] ?? { kind: "end", text: "" };
  }

  #sum(): Term {
    if (++this.#depth > MAX_DEPTH) throw this.#error("it is nested too deep");
    let left = this.#product();
    for (;;) {
      const first = left;
      if (this.#took("+")) {
        const second = this.#product();
        left = (values) => first(values) + second(values);
      } else if (this.#took("-")) {
        const second = this.#product();
        left = (values) => first(values) - second(values);
      } else {
        this.#depth--;
        return left;
      }
    }
  }

  #product(): Term {
    let left = this.#sign();
    for (;;) {
      const first = left;
      if (this.#took("*")) {
        const second = this.#sign();
        left = (values) => first(values) * second(values);
      } else if (this.#took("/")) {
        const second = this.#sign();
        left = (values) => first(values) / second(values);
      } else return left;
    }
  }

  /** As in Python, `-a ^ 2` is `-(a ^ 2)`. */
  #sign(): Term {
    if (++this.#depth > MAX_DEPTH) throw this.#error("it is nested too deep");
    try {
      if (!this.#took("-")) return this.#power();
      const term = this.#sign();
      return (values) => -term(values);
    } finally {
      this.#depth--;
    }
  }

  #power(): Term {
    const base = this.#atom();
    if (!this.#took("^")) return base;
    const exponent = this.#sign();
    return (values) => base(values) ** exponent(values);
  }

  #atom(): Term {
    const { kind, text } = this.#next;
    this.#at++;
    if (kind === "number") {
      const number = Number(text);
      return () => number;
    }
    if (kind === "tag") return this.#metric(text);
    if (kind === "name") return this.#next.text === "(" ? this.#call(text) : this.#metric(text);
    if (text === "(") {
      const term = this.#sum();
      this.#expect(")");
      return term;
    }
    throw this.#error(kind === "end" ? "it ends too early" : `${JSON.stringify(text)} is not expected there`);
  }

  #call(name: string): Term {
    const apply = FUNCTIONS.get(name);
    if (apply === undefined)
      throw this.#error(`there is no function ${name}; there are ${[...FUNCTIONS.keys()].join(", ")}`);
    this.#expect("(");
    const terms = [this.#sum()];
    while (this.#took(",")) terms.push(this.#sum());
    this.#expect(")");
    if (terms.length > 1 && !VARIADIC.has(name)) throw this.#error(`${name} takes one number`);
    return (values) => apply(...terms.map((term) => term(values)));
  }

  #metric(tag: string): Term {
    const known = this.#tags.indexOf(tag);
    const index = known < 0 ? this.#tags.push(tag) - 1 : known;
    return (values) => values[index] as number;
  }

  #took(sign: string): boolean {
    if (this.#next.kind !== "sign" || this.#next.text !== sign) return false;
    this.#at++;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#took(sign)) throw this.#error(`${JSON.stringify(sign)} is missing`);
  }

  #error(what: string): TraceletError {
    return new TraceletError("usage", `expression ${JSON.stringify(this.#text.slice(0, 80))}: ${what}`, {
      hint: "write metrics and + - * / ^ ( ), such as {val/loss} - {train/loss}; a tag with other characters than letters, digits, _ and . stands in braces",
    });
  }
}
