import { times } from "../lines.mjs";
import { besideDataServer } from "../reading.mjs";

export async function run(context) {
  return [
    await besideDataServer(context, "mixed", { what: "read **mixed**, one thread", goal: times(1.5), threads: 1 }),
  ];
}
