/** What runs are called where people see them. */
import path from "node:path";
import { displayPath } from "../../reader/discover.ts";
import { directoryOf, type RunGroup, SESSION } from "./run-group.ts";

/** TensorBoard's name of it; of a logdir itself its directory's; more of the path where that alone would be ambiguous. */
export function titleOf({ title, name, directory }: Pick<RunGroup, "title" | "name" | "directory">): string {
  return title ?? (directoryOf(name) === "." ? displayPath(directory).replace(/^.*\//, "") || "/" : name);
}

/** What it is called in what is said of it: by its name, and a session as it is called at the destination. */
export function spokenName(group: RunGroup): string {
  return group.name.startsWith(SESSION) ? (group.runName ?? titleOf(group)) : group.name;
}

/**
 * Runs of several logdirs may be called the same, such as `a/logs` and `b/logs` themselves: they get as much of their paths
 * as makes them differ.
 */
export function withTitles(groups: readonly RunGroup[]): RunGroup[] {
  const titles = new Map<RunGroup, string>();
  const byTitle = new Map<string, RunGroup[]>();
  for (const group of groups) {
    const alike = byTitle.get(titleOf(group));
    if (alike === undefined) byTitle.set(titleOf(group), [group]);
    else alike.push(group);
  }
  for (const alike of byTitle.values()) {
    if (alike.length === 1) continue;
    const paths = alike.map(({ directory }) => displayPath(directory).split(path.sep));
    const longest = paths.reduce((most, { length }) => Math.max(most, length), 0);
    const shown = (parts: number) => paths.map((each) => each.slice(-parts).join("/"));
    let parts = titleOf(alike[0] as RunGroup).split("/").length + 1;
    while (parts < longest && new Set(shown(parts)).size < alike.length) parts++;
    for (const [index, title] of shown(parts).entries()) titles.set(alike[index] as RunGroup, title);
  }
  if (titles.size === 0) return [...groups];
  return changed(groups, (group) => ({ title: titles.get(group) }));
}

/**
 * What runs are called at their destination: `{run}` in the template is what people see a run called, `{logdir}` the name of
 * its logdir's directory. All else stands for itself, so that a template without `{run}` gives several runs one name.
 */
export function withRunNames(groups: readonly RunGroup[], template: string | undefined): RunGroup[] {
  if (template === undefined) return [...groups];
  return changed(groups, (group) => {
    const values = { "{run}": titleOf(group), "{logdir}": titleOf({ ...group, ...ROOT, directory: group.logdir }) };
    return { runName: template.replace(/\{run\}|\{logdir\}/g, (each) => values[each as keyof typeof values]) };
  });
}

const ROOT = { title: undefined, name: "." } as const;

function changed(groups: readonly RunGroup[], change: (group: RunGroup) => Partial<RunGroup>): RunGroup[] {
  // Groups come before those that are nested in them.
  const made = new Map<RunGroup, RunGroup>();
  for (const group of groups) {
    const parent = group.parent && made.get(group.parent);
    made.set(group, { ...group, parent, ...change(group) });
  }
  return [...made.values()];
}
