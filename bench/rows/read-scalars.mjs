import { times } from "../lines.mjs";
import { besideDataServer } from "../reading.mjs";

export async function run(context) {
  return [
    await besideDataServer(context, "scalars", { what: "read **scalars**, one thread", goal: times(3), threads: 1 }),
  ];
}
