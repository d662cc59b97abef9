/** An option, as data: its flag, its environment variable, its type in the library and its line in the help derive from it. */
import type { Kind } from "../reader/datum.ts";

/** The forms a value may have, and what each becomes. */
export interface FormValues {
  readonly text: string;
  /** A whole number, 1 or more. */
  readonly count: number;
  /** A TCP port; 0 is any free one. */
  readonly port: number;
  /** A time such as `90s` or `10m`, in ms. */
  readonly duration: number;
  readonly time: Moment;
  /** A size such as `512kB` or `1GB`, in bytes. */
  readonly bytes: number;
  /** Separated by commas, or given several times. Commas in braces belong to a glob. */
  readonly globs: readonly string[];
  /** Separated by commas, or given several times. */
  readonly names: readonly string[];
  readonly kinds: readonly Kind[];
  /** Off unless given. */
  readonly flag: boolean;
  /** On unless taken away: `images` is `--no-images`. */
  readonly switch: boolean;
  /** An object, list or function, as `src/config/shapes.ts` describes it: in a configuration file or a program alone. */
  readonly structure: unknown;
}

/** A point in time. */
export interface Moment {
  /** ms since the Unix epoch. */
  readonly at: number;
  /** Whether the same text means another time later, as `now` and `2h` do. */
  readonly isRelative: boolean;
}

/** The name of an option is the attribute in camel case: `giveUpAfter` is `--give-up-after` and `TRACELET_GIVE_UP_AFTER`. */
export interface OptionDefinition {
  readonly form: keyof FormValues;
  /** Of a text: the only ones that are allowed. */
  readonly choices?: readonly string[];
  /** What the help calls the value: `<dir>`; in brackets where it may be left out. Flags and switches have none. */
  readonly value?: string;
  /** One letter. */
  readonly short?: string;
  readonly help: string;
  /** Left out: no value, or off for a flag, on for a switch. A function is given the environment. */
  readonly default?: unknown;
  /** Of a number: what a larger one becomes. */
  readonly atMost?: number;
  /** Of a duration: what a number without a unit counts, in text as well; without this, text needs its unit. */
  readonly unit?: "s";
  /**
   * Of a text or names that may hold a path, which is relative to the configuration file it is in: `file` is one unless it is
   * `-`, `sqlite` a `sqlite:///` address, `plug-in` a name with a slash or the ending of a module.
   */
  readonly path?: "file" | "sqlite" | "plug-in";
  /** Variables of other tools that are read where nothing else gives the option, in that order. */
  readonly fallbacks?: readonly string[];
  /** Whether nobody may see its value. */
  readonly secret?: true;
  /** Of a structure: stands for its TypeScript type, and holds nothing. */
  readonly type?: unknown;
  /** How the help shows the default, if not as it is. */
  readonly defaultText?: string;
  /** What a value that was left out means, as if it had been given. */
  readonly preset?: string;
  /** Which commands take it; left out: all that open a destination. */
  readonly commands?: readonly CommandName[];
  /** Whether the help does not list it. */
  readonly hidden?: boolean;
}

export type CommandName = "sync" | "watch" | "verify" | "inspect" | "status" | "forget" | "config";

export type OptionTable = Readonly<Record<string, OptionDefinition>>;

/** The values of a table's options: those with a default are always there. */
export type OptionsOf<Table> = {
  readonly [Name in keyof Table as IsSet<Table[Name]> extends true ? Name : never]: ValueOf<Table[Name]>;
} & {
  readonly [Name in keyof Table as IsSet<Table[Name]> extends true ? never : Name]?: ValueOf<Table[Name]> | undefined;
};

type ValueOf<Option> = Option extends { readonly choices: readonly (infer Choice)[] }
  ? Choice
  : Option extends { readonly form: "structure"; readonly type: infer Structure }
    ? Structure
    : Option extends { readonly form: infer Form extends keyof FormValues }
      ? FormValues[Form]
      : never;

type IsSet<Option> = Option extends { readonly default: unknown } | { readonly form: "flag" | "switch" } ? true : false;
