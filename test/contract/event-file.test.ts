import { expect, test } from "vitest";
import { fileVersion, records } from "../../src/testing/event-file.ts";
import { event, eventFile, scalarEvent } from "../support/event-writer.ts";

test("the event files of the contract are those that protobufjs encodes", () => {
  const points = [
    { tag: "loss", step: 0, wallTime: 1_700_000_000.25, value: 0.5 },
    { tag: "späť/µ", step: -1n, wallTime: 0.1, value: -0 },
    { tag: "x".repeat(300), step: 2n ** 62n, wallTime: 1e300, value: Number.NaN },
  ];
  const expected = points.map(({ tag, step, wallTime, value }) => scalarEvent(tag, step, value, wallTime));
  expect(records(points).toString("hex")).toBe(eventFile(...expected).toString("hex"));
  const version = eventFile(event({ wallTime: 1.5, fileVersion: "brain.Event:2" }));
  expect(fileVersion(1.5).toString("hex")).toBe(version.toString("hex"));
});
