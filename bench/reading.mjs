// Reading beside TensorBoard's Rust data server, for the rows that differ in what is read only.
import { load } from "./data-server.mjs";
import { line } from "./lines.mjs";
import { alternate, inspect } from "./measure.mjs";

/**
 * `tracelet inspect` beside one load cycle of the server.
 *
 * Ours is the whole process, Node's start included; the server's is what it says of the load alone. By default it keeps a
 * sample, and is the faster for it, so that is who ours is compared with; what it takes to keep all is in the notes.
 *
 * @param threads how many the server may use; where they are fewer than it would, what it takes with all is in the notes
 * @param of, unit, also as for `line`; `also` is given both samples
 */
export async function besideDataServer(context, name, { what, goal, threads, of, unit, also = () => [] }) {
  const logdir = context.shape(name);
  const python = await context.python("main");
  const kept = {};
  const server = (keepAll, using) => async (turn) => {
    const { points, ...sample } = await load(python, logdir.folder, { keepAll, threads: using, count: turn === 0 });
    kept[keepAll] ??= points;
    return sample;
  };
  const { ours, start, sampling, keeping, wide } = await alternate(
    context.times,
    {
      start: () => inspect(context.shape("one-run").folder),
      ours: async () => context.complete(await inspect(logdir.folder), logdir.points),
      sampling: server(false, threads),
      keeping: server(true, threads),
      wide: server(false, undefined),
    },
    { ...context.watch, once: ["keeping", "wide"] },
  );
  const alone = sampling.wall / (ours.wall - start.wall);
  const share = (points) => `${points.toLocaleString("en")} of ${logdir.points.toLocaleString("en")} points`;
  return line({
    what,
    beside: "Rust data server",
    ours,
    peer: sampling,
    goal,
    of,
    unit,
    also: ours.failed || sampling.failed ? [] : also(ours, sampling),
    notes: [
      ...(alone > 0 ? [`without Node's start (${start.wall.toFixed(2)} s) ${alone.toFixed(1)} ×`] : []),
      ...(sampling.failed ? [] : [`the server keeps ${share(kept.false)}`]),
      keeping.failed
        ? `told to keep all: ${keeping.failed}`
        : `told to keep all (once) it takes ${keeping.wall.toFixed(2)} s, ${Math.round(keeping.peak / 1e6)} MB and has ${share(kept.true)}`,
      ...(threads && !wide.failed ? [`on all cores (once) ${wide.wall.toFixed(2)} s`] : []),
    ],
  });
}
