/**
 * What W&B's own commands keep in files: `wandb login --host`, `wandb init` and `wandb offline` set the server, the place and
 * the mode for later commands.
 *
 * Source: wandb/sdk/lib/settings_file.py and wandb_setup.py of wandb 0.31.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Environment } from "../../net/access.ts";

/** Settings that matter here, and the variables that go before them. */
const VARIABLES: Readonly<Record<string, string>> = {
  base_url: "WANDB_BASE_URL",
  entity: "WANDB_ENTITY",
  project: "WANDB_PROJECT",
  mode: "WANDB_MODE",
};

/**
 * The environment, with what it lacks from the settings files: that of the directory first, then that of the user.
 *
 * @param home the user's directory @param directory the current one
 */
export function withSettingsFiles(env: Environment, home: string, directory: string): Environment {
  const root = env["WANDB_DIR"] || directory;
  const local = path.join(root, existsSync(path.join(root, ".wandb")) ? ".wandb" : "wandb", "settings");
  const global = path.join(env["WANDB_CONFIG_DIR"] || path.join(home, ".config", "wandb"), "settings");
  const found = { ...settingsIn(global), ...settingsIn(local) };
  const given = Object.entries(VARIABLES).map(([key, name]) => [name, env[name] || found[key]]);
  return { ...env, ...Object.fromEntries(given.filter(([, value]) => value !== undefined)) };
}

/** The `[default]` section of the INI file; empty if there is no such file. */
function settingsIn(file: string): Readonly<Record<string, string>> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return {};
  }
  const settings: Record<string, string> = {};
  let isDefault = false;
  for (const line of text.split(/\r?\n/)) {
    const section = /^\[(.*)\]\s*$/.exec(line);
    if (section !== null) isDefault = section[1] === "default";
    const [, key, value] = /^([\w.]+)\s*[=:]\s*(.*?)\s*$/.exec(line) ?? [];
    if (isDefault && key !== undefined && value) settings[key.toLowerCase()] = value;
  }
  return settings;
}
