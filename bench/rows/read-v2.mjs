import { times } from "../lines.mjs";
import { besideDataServer } from "../reading.mjs";

export async function run(context) {
  return [await besideDataServer(context, "v2", { what: "read **v2**, one thread", goal: times(1.5), threads: 1 })];
}
