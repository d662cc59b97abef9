/** The event files that the Python package writes without TensorBoard, read by TensorBoard. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { loggedEvents } from "./support/python.ts";

test("what is logged by hand is byte for byte what TensorBoard's own classes write, and its reader takes it", async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-python-events-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const logged = await loggedEvents(path.join(folder, "made"));
  expect(logged).toEqual({
    events: 21,
    different: [],
    crcs: true,
    histogram: [true, true, true, true, true],
    pixels: [true, true, true, true],
    samples: [true, true],
    accumulated: {
      images: ["chw", "grey", "pil"],
      audio: ["sound"],
      histograms: ["spread"],
      distributions: ["spread"],
      tensors: expect.arrayContaining(["loss", "größe/é", "a", "b", "said", "acc"]),
    },
    ignored: [],
  });
});
