import { times } from "../lines.mjs";
import { besideDataServer } from "../reading.mjs";

export async function run(context) {
  const goal = times(1 / 1.5, "≤ 1.5 × its time");
  return [await besideDataServer(context, "tiny", { what: "read **tiny**", goal })];
}
