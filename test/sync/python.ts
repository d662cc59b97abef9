/** What Python says of many values at once: JSON goes in as `data`, and what the code leaves in `answer` comes back. */
import { execFileSync } from "node:child_process";

export function askPython(code: string, data: unknown): unknown {
  const python = process.env["TRACELET_TEST_PYTHON"] ?? "python3";
  const program = `import json, sys\ndata = json.load(sys.stdin)\n${code}\njson.dump(answer, sys.stdout)`;
  const input = JSON.stringify(data);
  const env = { ...process.env, PYTHONIOENCODING: "utf-8:surrogatepass" };
  return JSON.parse(
    execFileSync(python, ["-c", program], { input, env, encoding: "utf8", maxBuffer: 1 << 28 }),
  ) as unknown;
}
