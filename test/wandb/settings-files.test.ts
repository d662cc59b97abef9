import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withSettingsFiles } from "../../src/backends/wandb/settings-files.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(file: string, text: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), text);
}

test("what `wandb login --host`, `wandb init` and `wandb offline` have set counts where no variable does", () => {
  write(
    "home/.config/wandb/settings",
    "# mine\n[default]\nbase_url = http://lab:8080\nentity: team\n\n[other]\nproject = x\n",
  );
  write("work/wandb/settings", "[default]\nproject = p\nmode = offline\nentity = mine\n");
  const [home, work] = [path.join(root, "home"), path.join(root, "work")];
  const fromFiles = {
    WANDB_BASE_URL: "http://lab:8080",
    WANDB_ENTITY: "mine",
    WANDB_PROJECT: "p",
    WANDB_MODE: "offline",
  };
  expect(withSettingsFiles({ WANDB_ENTITY: "" }, home, work)).toEqual(fromFiles);
  expect(withSettingsFiles({ WANDB_ENTITY: "e", A: "b" }, home, work)).toEqual({
    ...fromFiles,
    WANDB_ENTITY: "e",
    A: "b",
  });
  expect(withSettingsFiles({ WANDB_DIR: work }, home, root)).toEqual({ ...fromFiles, WANDB_DIR: work });
});

test("they may lie elsewhere, and need not be there", () => {
  write("elsewhere/settings", "[default]\nproject = p");
  const variables = { WANDB_CONFIG_DIR: path.join(root, "elsewhere") };
  expect(withSettingsFiles(variables, root, root)).toEqual({ ...variables, WANDB_PROJECT: "p" });
  expect(withSettingsFiles({ WANDB_PROJECT: "q" }, root, root)).toEqual({ WANDB_PROJECT: "q" });
  write(".wandb/settings", "[default]\nproject = dotted");
  write("wandb/settings", "[default]\nproject = plain");
  expect(withSettingsFiles({}, root, root)).toEqual({ WANDB_PROJECT: "dotted" });
});
