import path from "node:path";
import { bound, line } from "../lines.mjs";
import { alternate, sync, tracelet } from "../measure.mjs";

export async function run(context) {
  const logdir = context.shape("one-run");
  const inside = (name) => path.join(context.folder, name);
  const { version, small } = await alternate(
    // They are short, so that more of them are needed for a median that can be believed.
    4 * context.times,
    {
      version: () => tracelet(["--version"]),
      small: (turn) =>
        sync(logdir.folder, `sqlite:///${inside(`small-${turn}.db`)}`, { stateDir: inside(`state-${turn}`) }),
    },
    context.watch,
  );
  return [
    line({ what: "`tracelet --version`", ours: version, goal: bound(0.1, "≤ 0.1 s") }),
    line({ what: "`sync` of one run of 200 points", ours: small, goal: bound(0.4, "≤ 0.4 s") }),
  ];
}
