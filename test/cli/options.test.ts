import { InvalidArgumentError } from "commander";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { collect, defaultStateDir, option, parseBytes, parseCount, parseDuration } from "../../src/cli/options.ts";
import { buildProgram } from "../../src/cli/program.ts";

afterEach(() => vi.unstubAllEnvs());

test("counts are whole numbers from 1 on", () => {
  expect(["1", "16", "1e3", "9007199254740991"].map(parseCount)).toEqual([1, 16, 1000, 2 ** 53 - 1]);
  for (const text of ["0", "-1", "1.5", "", " ", "x", "Infinity", "9007199254740992", "1 000"]) {
    expect(() => parseCount(text)).toThrow(InvalidArgumentError);
  }
});

test("times have a unit", () => {
  expect(["90s", "10m", "2h", "250ms", "1.5m", "0s"].map(parseDuration)).toEqual([
    90_000, 600_000, 7_200_000, 250, 90_000, 0,
  ]);
  for (const text of ["90", "", "s", "-1s", "1 s", "1d", "1m30s", "1e3s"]) {
    expect(() => parseDuration(text)).toThrow(InvalidArgumentError);
  }
});

test("sizes have one if they like", () => {
  const sizes = ["512", "512B", "512kB", "256MB", "1GB", "1.5 MB", "64k", "1gb"];
  expect(sizes.map(parseBytes)).toEqual([512, 512, 512_000, 256e6, 1e9, 1.5e6, 64_000, 1e9]);
  for (const text of ["", "x", "-1", "1TB", "1MBB", "MB", "1e3"])
    expect(() => parseBytes(text)).toThrow(InvalidArgumentError);
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

  test("says what it is", () => {
    for (const [, { description }] of options) expect(description).not.toBe("");
  });

  test("is not given by a variable that is empty, nor a flag by one that says no", () => {
    for (const value of ["", "0", "false", "No", "off"]) {
      vi.stubEnv("TRACELET_X_Y", value);
      expect(option("--x-y", "flag").envVar).toBeUndefined();
      expect(option("--x-y <value>", "value").envVar).toBe(value === "" ? undefined : "TRACELET_X_Y");
    }
    for (const value of ["1", "true", "yes"]) {
      vi.stubEnv("TRACELET_X_Y", value);
      expect(option("--x-y", "flag").envVar).toBe("TRACELET_X_Y");
    }
  });
});
