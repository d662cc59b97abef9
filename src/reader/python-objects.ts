/**
 * What Python prints of the objects that people have among their hyperparameters, told from how PyYAML writes them.
 * Nothing is constructed: a class that is not known here is `NotReadable`, whatever it is called.
 */
import type { HparamValue } from "./datum.ts";
import { dtypeName, numpyScalar } from "./numpy-text.ts";
import { floatRepr, PythonObject, type PythonValue, pythonRepr, pythonText, stringRepr } from "./python-text.ts";
import { parameterText, tensorText } from "./torch-text.ts";

/** An object that only Python can tell the text of. */
export class NotReadable extends Error {
  override readonly name = "NotReadable";
}

/** What an object is made of, in the file's own values. */
export interface PythonCall {
  readonly args: readonly unknown[];
  /** By the names of PyYAML: `state`, `dictitems`, `listitems`; for a plain object, its attributes. */
  readonly fields: ReadonlyMap<unknown, unknown>;
  /** A part of it as a value of its own. @throws NotReadable */
  readonly value: (part: unknown) => PythonValue;
}

/** A scalar by its tag. @throws NotReadable */
export function pythonScalar(tag: string, text: string): PythonValue {
  if (tag === "str" || tag === "unicode") return text;
  if (tag === "int" || tag === "long") return bigintOf(text);
  if (tag === "float") return Number(text.replace("inf", "Infinity"));
  if (tag === "bool") return /^(true|yes|on)$/i.test(text);
  if (tag === "none") return null;
  if (tag === "bytes") return pythonBytes(Buffer.from(text, "base64"));
  if (tag === "complex") return complexOf(text);
  if (tag === "tuple" && text === "") return new PythonObject("()");
  if (tag.startsWith("name:")) return new PythonObject(nameText(tag.slice("name:".length)));
  throw new NotReadable(tag.replace(/^[^:]*:/, ""));
}

/** A list or mapping by its tag. @param value as in `PythonCall` @throws NotReadable */
export function pythonObject(
  tag: string,
  content: readonly unknown[] | ReadonlyMap<unknown, unknown>,
  value: PythonCall["value"],
): PythonValue {
  const list = content instanceof Map ? [] : (content as readonly unknown[]);
  const mapping = content instanceof Map ? (content as ReadonlyMap<unknown, unknown>) : new Map<unknown, unknown>();
  if (tag === "tuple") return new PythonObject(tupleText(list.map(value)));
  if (tag === "list") return listOf(list.map(value));
  const [, form, name = ""] = /^(object\/apply|object\/new|object):(.*)$/.exec(tag) ?? [];
  const print = OBJECTS.get(name) ?? (name.startsWith("pathlib.") ? pathText : undefined);
  if (form === undefined || print === undefined) throw new NotReadable(name || tag);
  const args = form === "object" ? [] : (mapping.get("args") ?? list);
  const printed = print({ args: Array.isArray(args) ? args : [], fields: mapping, value }, name);
  return typeof printed === "string" ? new PythonObject(printed) : printed;
}

export function pythonBytes(bytes: Uint8Array): PythonObject {
  const text = Buffer.from(bytes).toString("latin1");
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[^ -~]|\\/g, (character) => BYTE_ESCAPES[character] ?? hexEscape(character));
  return new PythonObject(`b${quote}${quote === "'" ? escaped.replaceAll("'", "\\'") : escaped}${quote}`);
}

/** A list, which is an object if it holds one. */
export function listOf(items: readonly PythonValue[]): PythonValue {
  const plain = items.filter((item) => !(item instanceof PythonObject)) as HparamValue[];
  return plain.length === items.length ? plain : new PythonObject(`[${items.map(pythonRepr).join(", ")}]`);
}

/** A mapping; an object in this sense also if its keys are no strings, or ones that an object of JavaScript would move. */
export function dictOf(entries: readonly (readonly [PythonValue, PythonValue])[]): PythonValue {
  const isPlain = entries.every(
    ([key, item]) => typeof key === "string" && !/^\d+$/.test(key) && !(item instanceof PythonObject),
  );
  return isPlain ? Object.fromEntries(entries as [string, HparamValue][]) : new PythonObject(dictText(entries));
}

function dictText(entries: readonly (readonly [PythonValue, PythonValue])[]): string {
  return `{${entries.map(([key, item]) => `${pythonRepr(key)}: ${pythonRepr(item)}`).join(", ")}}`;
}

export function setText(items: readonly PythonValue[]): string {
  return items.length === 0 ? "set()" : `{${items.map(pythonRepr).join(", ")}}`;
}

type Print = (call: PythonCall, name: string) => PythonValue;

const BYTE_ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
/** Classes that are written in small letters, so that a name does not tell them from functions. */
const SMALL_CLASSES =
  /^(builtins\.(int|float|complex|bool|str|bytes|bytearray|list|tuple|dict|set|frozenset|range|slice|object|type|property)|numpy\.(u?int|float|complex)\d+|numpy\.(ndarray|dtype)|collections\.(defaultdict|deque)|datetime\.(datetime|date|time|timedelta)|torch\.(device|dtype))$/;

const OBJECTS: ReadonlyMap<string, Print> = new Map<string, Print>([
  ["numpy.core.multiarray.scalar", ({ args }) => read(() => numpyScalar(args), "numpy scalar")],
  ["numpy._core.multiarray.scalar", ({ args }) => read(() => numpyScalar(args), "numpy scalar")],
  ["numpy.dtype", ({ args, fields }) => dtypeObject(args, fields)],
  ["torch._utils._rebuild_tensor_v2", ({ args }) => read(() => new PythonObject(tensorText(args)), "torch.Tensor")],
  [
    "torch._utils._rebuild_parameter",
    ({ args }) => read(() => new PythonObject(parameterText(args)), "torch.Parameter"),
  ],
  ["torch.device", ({ args }) => deviceObject(args)],
  ["torch.Size", ({ args, value }) => `torch.Size([${itemsOf(args[0]).map(value).map(pythonRepr).join(", ")}])`],
  ["collections.OrderedDict", orderedDictText],
  [
    "collections.defaultdict",
    ({ args, fields, value }) =>
      `defaultdict(${pythonRepr(value(args[0] ?? null))}, ${textOfDict(fields.get("dictitems"), value)})`,
  ],
  ["collections.Counter", counterText],
  ["collections.deque", dequeText],
  ["functools.partial", partialText],
  ["argparse.Namespace", ({ fields, value }) => `Namespace(${keywords(fields, value)})`],
  ["types.SimpleNamespace", ({ fields, value }) => `namespace(${keywords(fields.get("state"), value)})`],
  ["builtins.slice", ({ args, value }) => `slice(${args.map(value).map(pythonRepr).join(", ")})`],
  ["builtins.range", ({ args, value }) => rangeText(args.map(value).map(pythonRepr))],
  [
    "builtins.frozenset",
    ({ args, value }) =>
      itemsOf(args[0]).length === 0 ? "frozenset()" : `frozenset(${setText(itemsOf(args[0]).map(value))})`,
  ],
  ["builtins.set", ({ args, value }) => setText(itemsOf(args[0]).map(value))],
  ["builtins.bytearray", ({ args }) => `bytearray(${pythonBytes(Buffer.from(textOf(args[0]), "latin1")).text})`],
  ["builtins.complex", ({ args, value }) => complexOf(args.map(value).map(pythonText).join("+"))],
  ["decimal.Decimal", ({ args }) => new PythonObject(textOf(args[0]), `Decimal('${textOf(args[0])}')`)],
  ["fractions.Fraction", ({ args, value }) => fractionObject(args.map(value).map(pythonText))],
  ["uuid.UUID", ({ fields }) => uuidObject(fields.get("int"))],
  ["datetime.timedelta", ({ args }) => timedeltaObject(args.map(Number))],
  ["datetime.date", ({ args }) => dateObject(bytesOf(args[0]))],
  ["datetime.time", ({ args }) => timeObject(bytesOf(args[0]))],
]);

function nameText(name: string): string {
  const short = name.replace(/^builtins\./, "");
  const last = name.slice(name.lastIndexOf(".") + 1);
  // Of a function Python prints its address, which means nothing outside its process.
  if (/^_*[A-Z]/.test(last) || SMALL_CLASSES.test(name)) return `<class '${short}'>`;
  return name.startsWith("builtins.") ? `<built-in function ${last}>` : name;
}

function tupleText(items: readonly PythonValue[]): string {
  return `(${items.map(pythonRepr).join(", ")}${items.length === 1 ? "," : ""})`;
}

function textOfDict(mapping: unknown, value: PythonCall["value"]): string {
  if (!(mapping instanceof Map)) return "{}";
  return dictText(Array.from(mapping, ([key, item]) => [value(key), value(item)]));
}

function keywords(mapping: unknown, value: PythonCall["value"]): string {
  if (!(mapping instanceof Map)) return "";
  return Array.from(mapping, ([key, item]) => `${key}=${pythonRepr(value(item))}`).join(", ");
}

/** As Python prints it before 3.12. */
function orderedDictText({ args, value }: PythonCall): string {
  const pairs = itemsOf(args[0]).map((pair) => tupleText(itemsOf(pair).map(value)));
  return pairs.length === 0 ? "OrderedDict()" : `OrderedDict([${pairs.join(", ")}])`;
}

/** The most common first. */
function counterText({ args, value }: PythonCall): string {
  const [counts] = args;
  if (!(counts instanceof Map) || counts.size === 0) return "Counter()";
  const sorted = [...counts].sort(([, a], [, b]) => Number(b) - Number(a));
  return `Counter(${textOfDict(new Map(sorted), value)})`;
}

function dequeText({ args, fields, value }: PythonCall): string {
  const items = itemsOf(fields.get("listitems") ?? args[0])
    .map(value)
    .map(pythonRepr);
  const length = typeof args[1] === "bigint" ? `, maxlen=${args[1]}` : "";
  return `deque([${items.join(", ")}]${length})`;
}

function partialText({ fields, value }: PythonCall): string {
  const [callable, args, named] = itemsOf(fields.get("state"));
  if (callable === undefined) throw new NotReadable("functools.partial");
  const parts = [pythonRepr(value(callable)), ...itemsOf(args).map(value).map(pythonRepr)];
  const named_ = keywords(named, value);
  return `functools.partial(${[...parts, ...(named_ === "" ? [] : [named_])].join(", ")})`;
}

function pathText({ args, value }: PythonCall, name: string): PythonObject {
  const kind = name.slice(name.lastIndexOf(".") + 1);
  const parts = args.map(value).map(pythonText);
  const separator = kind.includes("Windows") ? "\\" : "/";
  const [root = "", ...rest] = parts;
  const text = root.endsWith(separator) ? root + rest.join(separator) : parts.join(separator);
  return new PythonObject(text || ".", `${kind}(${stringRepr((text || ".").replaceAll("\\", "/"))})`);
}

function deviceObject(args: readonly unknown[]): PythonObject {
  const type = textOf(args[0]);
  const index = typeof args[1] === "bigint" ? String(args[1]) : "";
  const repr = `device(type='${type}'${index === "" ? "" : `, index=${index}`})`;
  return new PythonObject(index === "" ? type : `${type}:${index}`, repr);
}

function dtypeObject(args: readonly unknown[], fields: ReadonlyMap<unknown, unknown>): PythonObject {
  const name = read(() => dtypeName(args, fields), "numpy.dtype");
  return new PythonObject(name, `dtype('${name}')`);
}

function rangeText(args: readonly string[]): string {
  return `range(${args[2] === "1" ? args.slice(0, 2).join(", ") : args.join(", ")})`;
}

function fractionObject([numerator = "", denominator = ""]: readonly string[]): PythonObject {
  return new PythonObject(
    denominator === "1" ? numerator : `${numerator}/${denominator}`,
    `Fraction(${numerator}, ${denominator})`,
  );
}

function uuidObject(value: unknown): PythonObject {
  if (typeof value !== "bigint") throw new NotReadable("uuid.UUID");
  const text = value
    .toString(16)
    .padStart(32, "0")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return new PythonObject(text, `UUID('${text}')`);
}

function timedeltaObject([days = 0, seconds = 0, microseconds = 0]: readonly number[]): PythonObject {
  const clock = [Math.floor(seconds / 3600), ...[Math.floor(seconds / 60) % 60, seconds % 60].map(twoDigits)].join(":");
  const before = days === 0 ? "" : `${days} day${Math.abs(days) === 1 ? "" : "s"}, `;
  const parts = Object.entries({ days, seconds, microseconds }).filter(([, part]) => part !== 0);
  const repr = parts.map(([name, part]) => `${name}=${part}`).join(", ") || "0";
  return new PythonObject(before + clock + fraction(microseconds), `datetime.timedelta(${repr})`);
}

/** Source: `date._getstate` and `datetime._getstate` of Lib/_pydatetime.py. */
function dateObject(bytes: Uint8Array): PythonObject {
  if (bytes.length !== 4) throw new NotReadable("datetime.date");
  const [high = 0, low = 0, month = 0, day = 0] = bytes;
  const year = 256 * high + low;
  const text = `${String(year).padStart(4, "0")}-${twoDigits(month)}-${twoDigits(day)}`;
  return new PythonObject(text, `datetime.date(${year}, ${month}, ${day})`);
}

function timeObject(bytes: Uint8Array): PythonObject {
  if (bytes.length !== 6) throw new NotReadable("datetime.time");
  const [hour = 0, minute = 0, second = 0, a = 0, b = 0, c = 0] = bytes;
  const microsecond = (a << 16) | (b << 8) | c;
  const parts = [
    hour,
    minute,
    ...(second > 0 || microsecond > 0 ? [second] : []),
    ...(microsecond > 0 ? [microsecond] : []),
  ];
  const text = [hour, minute, second].map(twoDigits).join(":") + fraction(microsecond);
  return new PythonObject(text, `datetime.time(${parts.join(", ")})`);
}

function complexOf(text: string): PythonObject {
  const [, real = "", imaginary = ""] =
    /^\(?([-+]?[^-+j]*(?:e[-+]?\d+)?)??([-+]?[^-+j]+(?:e[-+]?\d+)?)j\)?$/i.exec(text) ?? [];
  const parts = [Number(real || 0), Number(imaginary)].map((part) => floatRepr(part).replace(/\.0$/, "")) as [
    string,
    string,
  ];
  if (imaginary === "" || parts.includes("nan")) throw new NotReadable("complex");
  const sign = parts[1].startsWith("-") ? "" : "+";
  return new PythonObject(real === "" ? `${parts[1]}j` : `(${parts[0]}${sign}${parts[1]}j)`);
}

function bigintOf(text: string): bigint {
  try {
    return BigInt(text.replaceAll("_", ""));
  } catch {
    throw new NotReadable("int");
  }
}

/** @throws NotReadable for what is not made as its class makes it */
function read<T>(work: () => T, what: string): T {
  try {
    return work();
  } catch {
    throw new NotReadable(what);
  }
}

function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new NotReadable("an argument that is no text");
  return value;
}

function bytesOf(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array();
}

function fraction(microseconds: number): string {
  return microseconds === 0 ? "" : `.${String(microseconds).padStart(6, "0")}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

function hexEscape(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
