/** What the tags of a group's members would be called in the one run that they become, if each name were free. */
import type { Member } from "./run-group.ts";

/** What decides it of a member. */
export type GroupedTags = Pick<Member, "path" | "fold" | "prefix">;

export function nameInGroup({ path, fold, prefix }: GroupedTags, tag: string): string {
  if (fold?.by !== "add_scalars") return prefix + tag;
  return prefix + (tag === fold.main ? `${tag}/${fold.sub}` : `${path}/${tag}`);
}
