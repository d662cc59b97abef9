/** W&B's official client: scripts that use it, and its command line, against a server of ours. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { parseExtended } from "../../support/wandb-server/extended-json.ts";
import { API_KEY } from "../../support/wandb-server/server.ts";
import { WANDB_PYTHON } from "./python.ts";

const run = promisify(execFile);

export interface ClientEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class WandbClient {
  readonly folder: string;
  readonly #env: NodeJS.ProcessEnv;

  /**
   * @param uri of the server
   * @param folder all that it writes goes here
   */
  constructor(uri: string, folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("WANDB_"));
    this.#env = {
      ...Object.fromEntries(own),
      HOME: folder,
      WANDB_BASE_URL: uri,
      WANDB_API_KEY: API_KEY,
      WANDB_DIR: folder,
      WANDB_CACHE_DIR: path.join(folder, "cache"),
      WANDB_DATA_DIR: path.join(folder, "data"),
      WANDB_CONFIG_DIR: path.join(folder, "config"),
      // As text goes by, also where the output is no terminal.
      WANDB_CONSOLE: "wrap",
      WANDB_SILENT: "true",
      WANDB_ERROR_REPORTING: "false",
    };
  }

  /** @param script its name in test/e2e/python/wandb @returns the JSON that it prints, with Python's NaN and Infinity @throws Error if it fails */
  async script(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<unknown> {
    const { code, stdout, stderr } = await this.attempt(script, args, env);
    if (code !== 0) throw new Error(`${script} ${args.join(" ")} ended with ${code}:\n${stderr}`);
    return stdout === "" ? undefined : parseExtended(stdout);
  }

  async attempt(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ClientEnd> {
    const file = path.resolve(import.meta.dirname, "../python/wandb", `${script}.py`);
    return this.#python([file, ...args], env);
  }

  /** `wandb sync` of all that was logged offline. */
  async syncOffline(): Promise<ClientEnd> {
    const all = path.join(this.folder, "wandb");
    const directories = readdirSync(all).filter((name) => name.startsWith("offline-run-"));
    return this.#python(["-m", "wandb", "sync", ...directories.map((name) => path.join(all, name))], {});
  }

  async #python(args: readonly string[], env: NodeJS.ProcessEnv): Promise<ClientEnd> {
    const options = { env: { ...this.#env, ...env }, cwd: this.folder, maxBuffer: 1 << 28 };
    try {
      return { code: 0, ...(await run(WANDB_PYTHON, args, options)) };
    } catch (error) {
      const { code, stdout = "", stderr = "" } = error as Partial<ClientEnd>;
      if (typeof code !== "number") throw error;
      return { code, stdout, stderr };
    }
  }
}
