/** What all end-to-end tests share, for as long as vitest runs. */
import { NEW_PYTHON, OLD_PYTHON } from "./python.ts";
import { startScriptServers } from "./script-servers.ts";

export default function setup(): Promise<() => Promise<void>> {
  return startScriptServers([NEW_PYTHON, OLD_PYTHON]);
}
