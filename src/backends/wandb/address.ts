/** What the state calls a place of W&B: where its runs go, and by which directory if they are written offline. */
import type { Place } from "./place.ts";

export interface Address extends Pick<Place, "base" | "entity" | "project"> {
  /** The `wandb/` directory; undefined if runs are sent over the network. */
  readonly root: string | undefined;
}

export function addressOf({ base, entity, project }: Place, root?: string): string {
  // No project's name has a slash.
  const target = `${base} ${entity === undefined ? "" : `${entity}/`}${project}`;
  return root === undefined ? target : `${root} ${target}`;
}

/** Neither entities nor projects have a colon, and no base has a space. */
const DESTINATION = /^wandb (?:(?<root>.*) )?(?<base>https?:\/\/\S+) (?:(?<entity>[^/]*)\/)?(?<project>[^/]*)$/s;

/** @param destination as the state names it @returns undefined if it is no place of W&B */
export function addressIn(destination: string): Address | undefined {
  const { root, base, entity, project } = DESTINATION.exec(destination)?.groups ?? {};
  return base === undefined || project === undefined ? undefined : { root, base, entity, project };
}

/** Whether the runs of both can be the same ones: without an entity, they are those of whoever sends or uploads them. */
export function areOneProject(a: Address, b: Address): boolean {
  if (a.base !== b.base || a.project !== b.project) return false;
  return a.entity === b.entity || a.entity === undefined || b.entity === undefined;
}
