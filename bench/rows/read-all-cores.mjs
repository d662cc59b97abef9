import { times } from "../lines.mjs";
import { besideDataServer } from "../reading.mjs";

export async function run(context) {
  const also = (ours, server) => [["CPU not above the server's", ours.cpu <= server.cpu]];
  const what = "read **runs** grown to 10 M, all cores";
  return [await besideDataServer(context, "runs-x5", { what, goal: times(1, "faster, CPU not above"), also })];
}
