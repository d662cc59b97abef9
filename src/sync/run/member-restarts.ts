/** What restarts make obsolete in a run of several members: each of TensorBoard's runs is looked at by itself. */
import type { TagMetadata } from "../../reader/datum.ts";
import { findObsolete, NOTHING_OBSOLETE, type Obsolete, type RestartPolicy } from "../../reader/restarts.ts";
import type { Member } from "../source/run-group.ts";
import type { SourceFile } from "./source-file.ts";

/** A file could not be read while restarts were looked for. */
export class ScanFailed extends Error {
  override readonly name = "ScanFailed";
  readonly file: SourceFile;

  constructor(file: SourceFile, cause: unknown) {
    super("a file could not be read", { cause });
    this.file = file;
  }
}

/**
 * Read the files of a run, in their order, for what restarts make obsolete.
 *
 * @param startOf where reading will begin in a file, bytes
 * @param metadataOf what is known of a member's tags
 * @throws ScanFailed
 */
export async function findObsoleteOf(
  files: readonly SourceFile[],
  policy: RestartPolicy,
  startOf: (file: SourceFile) => number,
  metadataOf: (member: Member) => ReadonlyMap<string, TagMetadata>,
): Promise<Obsolete> {
  const byMember = new Map<Member, SourceFile[]>();
  // Of each file, its number among those of its member.
  const numbers = files.map((file) => {
    const own = byMember.get(file.member) ?? [];
    byMember.set(file.member, own);
    return own.push(file) - 1;
  });
  const found = new Map<Member, Obsolete>();
  for (const [member, own] of byMember) {
    let current = own[0] as SourceFile;
    const scans = own.map((file) => ({
      start: startOf(file),
      size: file.entry.size,
      restartStep: file.restartStep,
      open: () => {
        current = file;
        return file.open(new Map(metadataOf(member)), startOf(file));
      },
    }));
    try {
      found.set(member, await findObsolete(scans, policy));
    } catch (cause) {
      throw new ScanFailed(current, cause);
    }
  }
  if (![...found.values()].some(({ some }) => some)) return NOTHING_OBSOLETE;
  const obsoleteIn = files.map(({ member }) => found.get(member) as Obsolete);
  return {
    some: true,
    has: (index, ...value) => (obsoleteIn[index] as Obsolete).has(numbers[index] as number, ...value),
  };
}
