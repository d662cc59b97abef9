// The lines of the table: one for each comparison, as data.

/** What a line's figures are, and which way is better. */
const UNITS = {
  s: {
    isLessBetter: true,
    show: (value) => (value < 0.1 ? `${(value * 1000).toFixed(0)} ms` : `${significant(value)} s`),
  },
  ms: { isLessBetter: true, show: (value) => `${significant(value)} ms` },
  MB: { isLessBetter: true, show: (value) => `${Math.round(value / 1e6)} MB` },
  "points/s": { isLessBetter: false, show: (value) => `${Math.round(value).toLocaleString("en")}/s` },
};

/** A goal: ours is at least `factor` times as good as the peer's. */
export function times(factor, words = `≥ ${factor} ×`) {
  return { words, isMet: ({ ratio }) => ratio !== undefined && ratio >= factor };
}

/** A goal: ours is at most, or where more is better at least, this. */
export function bound(limit, words) {
  return { words, isMet: ({ ours, unit }) => (UNITS[unit].isLessBetter ? ours <= limit : ours >= limit) };
}

/** A goal that holds if all do. */
export function both(...goals) {
  return {
    words: goals.map(({ words }) => words).join(", "),
    isMet: (line) => goals.every((goal) => goal.isMet(line)),
  };
}

/**
 * One line.
 *
 * @param what is measured; `beside` whom
 * @param ours, peer figures of `alternate`, or only what is compared; a peer may have `failed`, or not be there
 * @param of the figure of a sample that is compared; its wall time by default
 * @param also whatever else has to be true, as [words, holds]; or, without the second, only said
 */
export function line({
  what,
  beside,
  unit = "s",
  ours,
  peer,
  of = (sample) => sample.wall,
  goal,
  notes = [],
  also = [],
}) {
  if (ours.failed !== undefined)
    return { what, beside, goal: goal?.words, isMet: false, notes: [ours.failed, ...notes] };
  const [a, b] = [of(ours), peer === undefined || peer.failed !== undefined ? undefined : of(peer)];
  const ratio = b === undefined ? undefined : UNITS[unit].isLessBetter ? b / a : a / b;
  const shown = { what, beside, unit, ours: a, ...(b !== undefined && { peer: b, ratio }) };
  const costs = (figure) => [ours[figure], peer?.[figure]].map((value) => value ?? null);
  return {
    ...shown,
    ...(goal && { goal: goal.words, isMet: goal.isMet(shown) && also.every(([, holds]) => holds !== false) }),
    cpu: costs("cpu"),
    peak: costs("peak"),
    notes: [
      ...(peer?.failed ? [`${beside}: ${peer.failed}`] : []),
      ...also.map(([words, holds]) => (holds === undefined ? words : `${words} ${holds ? "✓" : "✗"}`)),
      ...notes,
    ],
  };
}

/** The table as Markdown. @param rows name → lines, or why there are none */
export function tableOf(rows) {
  const head = ["", "beside", "tracelet", "peer", "ratio", "goal", "CPU s", "peak MB", ""];
  const body = Object.entries(rows).flatMap(([name, { lines, failed }]) =>
    failed === undefined ? lines.map(cells) : [[name, "", "", "", "", "", "", "", `not measured: ${failed}`]],
  );
  const text = (row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
  return [text(head), text(head.map(() => "---")), ...body.map(text)].join("\n");
}

function cells({ what, beside, unit, ours, peer, ratio, goal, isMet, cpu = [], peak = [], notes }) {
  const show = (value) => (value === undefined ? "" : UNITS[unit].show(value));
  const pair = ([a, b], render) =>
    [a, b].every((value) => value === null || value === undefined)
      ? ""
      : [a, b].map((value) => (value === null || value === undefined ? "–" : render(value))).join(" : ");
  return [
    what,
    beside ?? "",
    show(ours),
    show(peer),
    ratio === undefined ? "" : `${significant(ratio)} ×`,
    goal === undefined ? "" : `${goal} ${isMet ? "✓" : "✗"}`,
    pair(cpu, significant),
    pair(peak, (bytes) => `${Math.round(bytes / 1e6)}`),
    notes.join("; "),
  ];
}

function significant(value) {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
