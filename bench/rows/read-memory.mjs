import { bound } from "../lines.mjs";
import { inspect } from "../measure.mjs";
import { besideDataServer } from "../reading.mjs";

/** What a file that is nine times as large may take more. */
const FLAT = 1.2;

export async function run(context) {
  const small = await inspect(context.shape("scalars").folder);
  const also = (ours) => [
    [`${Math.round(small.peak / 1e6)} MB for **scalars**`, ours.peak <= FLAT * small.peak],
    [`read in ${ours.wall.toFixed(1)} s`],
  ];
  const goal = bound(150e6, "≤ 150 MB, flat");
  const what = "peak memory, **scalars** blown up to 1 GB";
  return [await besideDataServer(context, "1gb", { what, goal, unit: "MB", of: ({ peak }) => peak, also })];
}
