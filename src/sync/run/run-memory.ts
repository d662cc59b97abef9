/** What this machine remembers of a run while it is being synced, and saves of it. */
import type { Datum, Kind, TagMetadata } from "../../reader/datum.ts";
import type { Checkpoints } from "../state/checkpoints.ts";
import type { StoredRun } from "../state/stored-run.ts";
import type { SourceFile } from "./source-file.ts";

/** Kinds that are drawn on pages. */
const PAGE_KINDS: ReadonlySet<Kind> = new Set<Kind>(["histograms", "text", "pr_curves", "graphs", "custom_scalars"]);

export class RunMemory {
  readonly stored: StoredRun;
  /** Whose the names are that members' tags were given. */
  readonly claims: Map<string, string>;
  readonly #checkpoints: Checkpoints;
  /** What values said of their tags, by the path of the member. */
  readonly #metadata = new Map<string, Map<string, TagMetadata>>();
  /** How many entries of these maps are saved. */
  readonly #saved = new Map<ReadonlyMap<string, unknown>, number>();

  constructor(stored: StoredRun, checkpoints: Checkpoints) {
    this.stored = stored;
    this.#checkpoints = checkpoints;
    this.claims = checkpoints.claims(stored);
    this.#saved.set(this.claims, this.claims.size);
  }

  /** What is known of a member's tags; what is learnt is to be added to it. */
  metadata(member: string): Map<string, TagMetadata> {
    const known = this.#metadata.get(member);
    if (known !== undefined) return known;
    const metadata = this.#checkpoints.metadata(this.stored, member);
    this.#metadata.set(member, metadata);
    this.#saved.set(metadata, metadata.size);
    return metadata;
  }

  /** Note what a value that the destination has means for its run. */
  saw(datum: Datum): void {
    if (PAGE_KINDS.has(datum.kind)) this.stored.pagesDue = true;
    if (datum.kind !== "hparams") return;
    if (datum.record.type === "session_start") this.stored.status = "finished";
    if (datum.record.type === "session_end") {
      this.stored.status = datum.record.status === "failure" ? "failed" : "finished";
    }
  }

  sawWallTime(wallTime: number): void {
    if (wallTime > this.stored.lastWallTime) this.stored.lastWallTime = wallTime;
  }

  /**
   * Save it.
   *
   * @param done whether all that is there is sent
   * @param keepsMarks whether the destination tells how far it has the files
   * @throws TraceletError `state`
   */
  save(done: boolean, files: readonly SourceFile[], keepsMarks: boolean): void {
    this.stored.done = done;
    this.stored.files = files.flatMap((file) => file.checkpoint() ?? []);
    const claims = this.#unsaved(this.claims);
    // Nobody else knows of damage: what appears in it would count as sent. Nor of whose a tag's name is, which depends on
    // who came first.
    const durably = !keepsMarks || claims.length > 0 || this.stored.files.some(({ losses }) => losses.length > 0);
    const metadata = Array.from(this.#metadata, ([member, tags]) =>
      this.#unsaved(tags).map(([tag, each]) => [member, tag, each] as const),
    );
    this.#checkpoints.save(this.stored, { metadata: metadata.flat(), claims }, durably);
    for (const map of this.#saved.keys()) this.#saved.set(map, map.size);
  }

  #unsaved<V>(map: ReadonlyMap<string, V>): (readonly [string, V])[] {
    const saved = this.#saved.get(map) ?? 0;
    return map.size === saved ? [] : [...map].slice(saved);
  }
}
