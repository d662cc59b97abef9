/** What restarts make obsolete in a run of several members: each of TensorBoard's runs is looked at by itself. */
import type { TagMetadata } from "../reader/datum.ts";
import { findObsolete, NOTHING_OBSOLETE, type Obsolete, type RestartPolicy } from "../reader/restarts.ts";
import type { Member } from "./groups.ts";
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
  const byMember = new Map<Member, { readonly obsolete: Obsolete; readonly files: readonly SourceFile[] }>();
  for (const member of new Set(files.map((file) => file.member))) {
    const own = files.filter((file) => file.member === member);
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
      byMember.set(member, { obsolete: await findObsolete(scans, policy), files: own });
    } catch (cause) {
      throw new ScanFailed(current, cause);
    }
  }
  if (![...byMember.values()].some(({ obsolete }) => obsolete.some)) return NOTHING_OBSOLETE;
  return {
    some: true,
    has(index, ...value) {
      const file = files[index] as SourceFile;
      const of = byMember.get(file.member);
      return of?.obsolete.has(of.files.indexOf(file), ...value) ?? false;
    },
  };
}
