import { Command } from "commander";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { option } from "../../src/cli/options.ts";
import { buildProgram } from "../../src/cli/program.ts";
import { backendNames } from "../../src/config/backends.ts";
import { type ChoiceOptions, chosen } from "../../src/config/choice.ts";
import { flagName } from "../../src/config/environment.ts";
import { collect, parseBytes, parseCount, parseDuration, parseTime } from "../../src/config/forms.ts";
import { KINDS, kindNames } from "../../src/config/kinds.ts";
import { defaultStateDir, OPTIONS } from "../../src/config/options.ts";
import { TraceletError } from "../../src/errors.ts";
import { RESTART_POLICIES } from "../../src/reader/restarts.ts";
import { DEFAULT_MAX_RECORD_BYTES } from "../../src/reader/tfrecord.ts";

afterEach(() => vi.unstubAllEnvs());

test("counts are whole numbers from 1 on", () => {
  expect(["1", "16", "1e3", "9007199254740991"].map(parseCount)).toEqual([1, 16, 1000, 2 ** 53 - 1]);
  for (const text of ["0", "-1", "1.5", "", " ", "x", "Infinity", "9007199254740992", "1 000"]) {
    expect(() => parseCount(text)).toThrow(TraceletError);
  }
});

test("a moment is a time in ISO 8601, seconds since 1970, now, or a time ago", () => {
  const local = (...parts: [number, number, number, number?, number?]) => new Date(...parts).getTime();
  const moments = {
    "2026-11-27T15:12:02.123Z": Date.UTC(2026, 10, 27, 15, 12, 2, 123),
    "2026-11-27T15:12:02+02:00": Date.UTC(2026, 10, 27, 13, 12, 2),
    "2026-11-27T15:12": local(2026, 10, 27, 15, 12),
    "2026-11-27 15:12": local(2026, 10, 27, 15, 12),
    "2026-11-27": local(2026, 10, 27),
    "1764256322": 1_764_256_322_000,
    "1764256322.1239": 1_764_256_322_123,
    // What that second's double is just below.
    "1764256322.123": 1_764_256_322_123,
  };
  for (const [text, time] of Object.entries(moments))
    expect([text, parseTime(text)]).toEqual([text, { at: time, isRelative: false }]);
  vi.useFakeTimers({ now: 10_000_000 });
  expect(["now", "2h", "90s", "500ms"].map(parseTime)).toEqual(
    [10_000_000, 2_800_000, 9_910_000, 9_999_500].map((at) => ({ at, isRelative: true })),
  );
  vi.useRealTimers();
  for (const text of ["", "yesterday", "-5", "2 h", "27.11.2026", "12:30", "2026-13-01", "1e9"])
    expect(() => parseTime(text)).toThrow(TraceletError);
});

test("times have a unit", () => {
  expect(["90s", "10m", "2h", "250ms", "1.5m", "0s"].map(parseDuration)).toEqual([
    90_000, 600_000, 7_200_000, 250, 90_000, 0,
  ]);
  for (const text of ["90", "", "s", "-1s", "1 s", "1d", "1m30s", "1e3s"]) {
    expect(() => parseDuration(text)).toThrow(TraceletError);
  }
});

test("sizes have one if they like", () => {
  const sizes = ["512", "512B", "512kB", "256MB", "1GB", "1.5 MB", "64k", "1gb"];
  expect(sizes.map(parseBytes)).toEqual([512, 512, 512_000, 256e6, 1e9, 1.5e6, 64_000, 1e9]);
  for (const text of ["", "x", "-1", "1TB", "1MBB", "MB", "1e3"]) expect(() => parseBytes(text)).toThrow(TraceletError);
});

test("globs are collected over commas and repetitions; commas in braces are a glob's own", () => {
  expect(collect("a,b", collect("c", undefined))).toEqual(["c", "a", "b"]);
  expect(collect(",a,,b,", [])).toEqual(["a", "b"]);
  expect(collect("{train,eval}/*,loss", [])).toEqual(["{train,eval}/*", "loss"]);
  expect(collect("a{b,c},{d,e}f,g", [])).toEqual(["a{b,c}", "{d,e}f", "g"]);
  const plain = fc.array(fc.string({ unit: fc.constantFrom(..."ab*?/"), minLength: 1 }), { minLength: 1 });
  fc.assert(fc.property(plain, (globs) => void expect(collect(globs.join(","), undefined)).toEqual(globs)));
});

test("the state lives where XDG says", () => {
  expect(defaultStateDir({ XDG_STATE_HOME: "/x" })).toBe("/x/tracelet");
  expect(defaultStateDir({ XDG_STATE_HOME: "" })).toMatch(/\/\.local\/state\/tracelet$/);
});

describe("every option", () => {
  const options = buildProgram(() => {}).commands.flatMap((command) =>
    command.options.map((each) => [command.name(), each] as const),
  );

  test("is an environment variable too", () => {
    expect(options.length).toBeGreaterThan(20);
    for (const [, { long, envVar }] of options) {
      expect(envVar).toBe(`TRACELET_${long?.slice(2).replaceAll("-", "_").toUpperCase()}`);
    }
  });

  test("that takes something away is given by a variable that does, and by one that says no to it", () => {
    const given = (variables: Readonly<Record<string, string>>) => {
      for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
      const command = new Command().addOption(option("xY", { form: "switch", help: "it" })).parse([], { from: "user" });
      vi.unstubAllEnvs();
      return !command.opts<{ xY: boolean }>().xY;
    };
    expect(given({})).toBe(false);
    for (const value of ["1", "true"]) {
      expect(given({ TRACELET_NO_X_Y: value })).toBe(true);
      expect(given({ TRACELET_X_Y: value })).toBe(false);
    }
    for (const value of ["0", "false", "No", "off"]) {
      expect(given({ TRACELET_NO_X_Y: value })).toBe(false);
      expect(given({ TRACELET_X_Y: value })).toBe(true);
      expect(given({ TRACELET_X_Y: value, TRACELET_NO_X_Y: value })).toBe(true);
    }
    expect(given({ TRACELET_X_Y: "", TRACELET_NO_X_Y: "" })).toBe(false);
  });

  test("says what it is", () => {
    for (const [, { description }] of options) expect(description).not.toBe("");
  });

  test("is not given by a variable that is empty, nor a flag by one that says no", () => {
    for (const value of ["", "0", "false", "No", "off"]) {
      vi.stubEnv("TRACELET_X_Y", value);
      expect(option("xY", { form: "flag", help: "it" }).envVar).toBeUndefined();
      expect(option("xY", { form: "text", value: "<value>", help: "it" }).envVar).toBe(
        value === "" ? undefined : "TRACELET_X_Y",
      );
    }
    for (const value of ["1", "true", "yes"]) {
      vi.stubEnv("TRACELET_X_Y", value);
      expect(option("xY", { form: "flag", help: "it" }).envVar).toBe("TRACELET_X_Y");
    }
  });
});

test("the help of options names all that there are", () => {
  expect(OPTIONS.only.help).toContain(kindNames());
  for (const name of backendNames()) expect(OPTIONS.backend.help).toContain(name);
  const switches = Object.entries<{ form: string; hidden?: boolean }>(OPTIONS).filter(([, { hidden }]) => hidden);
  expect(switches.map(([name]) => flagName(name))).toEqual([...KINDS.keys()]);
});

describe("the choice of", () => {
  /** What `sync` makes of its arguments. */
  function parsed(...args: readonly string[]): ChoiceOptions {
    const [sync] = buildProgram(() => {}).commands;
    sync?.action(() => {}).configureOutput({ writeErr: () => {} });
    sync?.parse(["runs", ...args], { from: "user" });
    return sync?.opts() as ChoiceOptions;
  }
  /** The kinds that are left. */
  const kinds = (...args: readonly string[]) => {
    const excluded = chosen(parsed(...args)).transform.excludeKinds;
    return [...KINDS.values()].filter((kind) => !excluded?.has(kind));
  };

  test("kinds: all, only some, not some, or both", () => {
    expect(kinds()).toEqual([...KINDS.values()]);
    for (const [name, kind] of KINDS) {
      expect(kinds("--only", name)).toEqual([kind]);
      expect(kinds("--only", kind)).toEqual([kind]);
      expect(kinds(`--no-${name}`)).toEqual([...KINDS.values()].filter((other) => other !== kind));
    }
    expect(kinds("--only", "audio, pr-curves", "--only", "mesh")).toEqual(["audio", "pr_curves", "mesh"]);
    expect(kinds("--only", "audio,images", "--no-images", "--no-text")).toEqual(["audio"]);
  });

  test("kinds that there are not, or that leave none", () => {
    expect(() => parsed("--only", "images,pictures")).toThrow(/no kind pictures; there are scalars, images, .*tensors/);
    expect(() => parsed("--only", "unreadable")).toThrow(/no kind/);
    expect(() => parsed("--no-pictures")).toThrow();
    expect(() => kinds("--only", "images", "--no-images")).toThrow(TraceletError);
    expect(() => kinds("--only", ",")).toThrow(TraceletError);
  });

  test("kinds by variables", () => {
    vi.stubEnv("TRACELET_IMAGES", "false");
    vi.stubEnv("TRACELET_NO_PR_CURVES", "1");
    vi.stubEnv("TRACELET_CUSTOM_SCALARS", "true");
    vi.stubEnv("TRACELET_ONLY", "images,pr-curves,custom-scalars,text");
    expect(kinds()).toEqual(["text", "custom_scalars"]);
    expect(kinds("--only", "scalars,images")).toEqual(["scalars"]);
  });

  test("what the engine knows, and its own limit where none is given", () => {
    for (const restarts of RESTART_POLICIES) expect(chosen(parsed("--restarts", restarts)).restarts).toBe(restarts);
    expect(chosen(parsed()).maxRecordBytes).toBe(DEFAULT_MAX_RECORD_BYTES);
  });

  test("steps and sizes", () => {
    const none = chosen(parsed());
    expect(none.transform).toMatchObject({ every: undefined, maxSteps: undefined });
    expect(none.limits).toEqual({ maxImageBytes: undefined, maxAudioBytes: undefined, oversize: "skip" });
    const { transform, limits } = chosen(
      parsed(..."--every 10 --max-steps 5 --max-image-size 1MB --max-audio-size 2kB --oversize downscale".split(" ")),
    );
    expect(transform).toMatchObject({ every: 10, maxSteps: 5 });
    expect(limits).toEqual({ maxImageBytes: 1e6, maxAudioBytes: 2000, oversize: "downscale" });
    for (const args of ["--every 0", "--max-steps 1.5", "--max-image-size big", "--oversize cut"]) {
      expect(() => parsed(...args.split(" "))).toThrow();
    }
  });
});
