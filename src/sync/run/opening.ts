/** A run is found at its destination, or made there, and its files are brought to where sending has to begin. */
import type { Datum } from "../../reader/datum.ts";
import { RecordBatch } from "../../reader/record-batch.ts";
import { TagTable } from "../../reader/tag-table.ts";
import type { RunDescription, RunHandle } from "../backend.ts";
import type { FileProblem } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import { Tally } from "../report/tally.ts";
import { atStart, type FileMark, hashText } from "../source/fingerprint.ts";
import { MarkIndex } from "../source/mark-index.ts";
import { originOf } from "../source/origin.ts";
import { isRecorded } from "../source/run-group.ts";
import { isSessionSince } from "../source/session.ts";
import { spokenName, titleOf } from "../source/titles.ts";
import { newRun, type StoredFile, type StoredRun } from "../state/stored-run.ts";
import { SeriesCounts } from "../transform/series-counts.ts";
import { Transform } from "../transform/transform.ts";
import type { Attachments } from "./attachments.ts";
import { barrenIn, matchRun } from "./match.ts";
import { lookBack } from "./run-metrics.ts";
import { type RunWork, WHOLE } from "./run-work.ts";

export interface LookAhead {
  /** Whether there is a value that makes a run of it. */
  readonly anyValue: boolean;
  /** How many records were met that describe not a run, but the experiment that runs are in. */
  readonly experiments: number;
}

/** Read up to the first new value of each file: is there any, and by which bytes can the file be told? */
export async function lookAhead(work: RunWork): Promise<LookAhead> {
  let anyValue = false;
  let experiments = 0;
  const countsAlone = work.group.isAlone || work.stored.remoteId !== undefined;
  const keys = work.keys();
  await work.eachFile(async (file) => {
    if (file.barren !== undefined || (anyValue && file.key !== undefined)) return;
    const batch = new RecordBatch(1, new TagTable());
    const damage = file.damage(work.context.patienceMs);
    const metadata = new Map(work.metadata(file.member));
    const open = await file.open(metadata, file.start, file.entry.size, damage);
    try {
      await open.reader.read(batch);
      const { records, firstWallTime } = open.reader;
      if (!isRecorded(file.member)) work.stored.firstWallTime ??= firstWallTime;
      file.looked(records.tail, damage);
      await file.tellFormat(open.source, work.news.notes);
      await file.name(open.source, records.position, keys);
      experiments += batch.data.filter(isExperiment).length;
      const hasValue = batch.length > 0 || batch.data.some((datum) => countsAlone || !isExperiment(datum));
      // What was recorded beside a run makes none by itself.
      if (hasValue) anyValue ||= work.stored.remoteId !== undefined || !isRecorded(file.member);
      // Nobody may come this way again: where no value is new, nothing is sent.
      else file.learn(open.reader);
    } finally {
      await open.close();
    }
  });
  return { anyValue, experiments };
}

/**
 * Open the run at its destination, and go to where sending has to begin.
 *
 * @param before what was known of its files @param opened told the handle as soon as there is one
 * @throws TraceletError
 */
export async function openRun(
  work: RunWork,
  before: readonly StoredFile[],
  attachments: Attachments,
  opened: (handle: RunHandle) => void,
): Promise<RunHandle> {
  const { backend, onOpen, parentId } = work.context;
  const { remoteId, cursor } = work.stored;
  const { parent } = work.group;
  const handle = await backend.open(describe(work, before, parent && (await parentId(parent))), remoteId, cursor);
  work.context.onReached?.();
  opened(handle);
  if (remoteId !== undefined && (handle.created || handle.id !== remoteId))
    work.news.notes.push(recreatedNote(spokenName(work.group), remoteId, handle));
  if (handle.renamed !== undefined) work.news.notes.push(movedNote(titleOf(work.group), handle.renamed));
  if (handle.called !== undefined) work.news.notes.push(calledNote(spokenName(work.group), handle.called));
  if (handle.created) await attachments.startOver();
  work.stored.directory = work.group.store.placeOf(work.group.directory);
  work.stored.remoteId = handle.id;
  work.stored.runName = work.group.runName;
  onOpen(work.group, handle.id);
  if (handle.created) work.stored.cursor = undefined;
  // One that was to go back to a cursor, and is new instead, has nothing.
  const has = handle.marks ?? (handle.created && cursor !== undefined ? [] : undefined);
  if (has !== undefined) {
    const marks = new MarkIndex(has);
    await work.eachFile(async (file) => {
      if (file.barren === undefined) await file.resume(marks);
    });
  }
  // The last sync of a watch follows nothing any more: a run that another process has sent and ended stays ended.
  const mayGrow = work.context.patienceMs > 0 || work.files.some(({ start, entry }) => start < entry.size);
  if (work.context.isLive && !handle.created && mayGrow) await backend.resume(handle);
  for (const { key, apart } of has ?? []) {
    const file = apart && work.files.find((each) => each.key === key);
    if (file === undefined || apart === undefined) continue;
    work.requireTags();
    work.tags?.adopt(file.member, apart);
  }
  work.choices.opened(handle);
  work.choices.adopt(work.files);
  await lookBack(work);
  await relearn(work);
  return handle;
}

/** The files cannot be read now, so it cannot be told whether a run of the destination is theirs. A guess could make it twice. */
export class Undecided extends Error {
  override readonly name = "Undecided";
  readonly problems: readonly FileProblem[];

  constructor(problems: readonly FileProblem[]) {
    super(problems.map(({ path, code }) => `${path}: ${code}`).join(", "));
    this.problems = problems;
  }
}

function describe(work: RunWork, before: readonly StoredFile[], parentId: string | undefined): RunDescription {
  const barrenOf = barrenIn(work.context.checkpoints);
  const match = (marks: readonly FileMark[]) =>
    matchRun(work.group, [asStored(work.group.name, marks, before)], barrenOf);
  const { name, runName } = work.group;
  const title = titleOf(work.group);
  return {
    name: runName ?? title,
    title,
    source: hashText(name),
    startTime: work.stored.firstWallTime ?? Number.NaN,
    origin: work.context.tellsOrigin === true ? originOf(work.group) : undefined,
    parentId,
    marks: work.files.flatMap((file) => file.mark() ?? []).map(atStart),
    replaces: work.context.replaces,
    isOthers: async (run) => {
      // What two sessions have sent may begin alike, and must not converge.
      if (isSessionSince(name) && run.source !== hashText(name)) return true;
      return work.context.others.own(name, run);
    },
    owns: async (marks) => {
      const { stored, problems } = await match(marks);
      if (stored === undefined && problems.some(({ kind }) => kind === "again")) throw new Undecided(problems);
      return stored !== undefined;
    },
    contradicts: async ({ source, marks }) => {
      const { isOther, notes } = await match(marks);
      return isOther || (source !== hashText(name) && notes.some(({ code }) => code === "truncated"));
    },
    holds: async (marks) => {
      const { files, notes } = await match(marks);
      return notes.length === 0 && files.filter(({ stored }) => stored !== undefined).length === marks.length;
    },
  };
}

/** Read again, without sending, what the destination has but this machine has forgotten. */
async function relearn(work: RunWork): Promise<void> {
  await work.eachFile(async (file) => {
    const range = file.unknownRange;
    if (range === undefined) return;
    const reader = await file.readAgain(work.metadata(file.member), range, (batch) => {
      work.requireGoingOn();
      // Where metrics are computed, the look back has given out the names.
      if (work.metrics === undefined) work.tags?.apply(batch, WHOLE, file.member);
      for (const datum of batch.data) work.memory.saw(datum);
      work.hparams.saw(batch.data);
    });
    file.learn(reader);
    if (!isRecorded(file.member)) work.memory.sawWallTime(reader.lastWallTime);
  });
  await recount(work);
}

/** Count again what was counted as far as another place than the one where sending begins. */
async function recount(work: RunWork): Promise<void> {
  const { every, maxSteps } = work.context.transform;
  if (every === undefined && maxSteps === undefined) return;
  if (!work.files.some((file) => file.needsRecount)) return;
  const obsolete = await work.findObsolete(() => 0);
  const transform = new Transform(work.context.transform, work.context.restarts, obsolete);
  for (const [index, file] of work.files.entries()) {
    const counts = new SeriesCounts();
    try {
      const metadata = new Map(work.metadata(file.member));
      await file.readAgain(metadata, { start: 0, end: file.start }, (batch) => {
        work.requireGoingOn();
        transform.apply(batch, { file: index, ...WHOLE, counts }, new Tally());
      });
      file.recounted(counts);
    } catch (error) {
      work.isProblemOf(file, error);
    }
  }
}

function recreatedNote(name: string, before: string, { id, created }: RunHandle): Note {
  const became = created ? "it was sent again" : "it goes on";
  // Files have the place of those that were removed.
  const where = id === before ? "" : created ? ` as ${id}` : ` in ${id}`;
  return { code: "recreated", message: `${name} is no longer at its destination as ${before}; ${became}${where}` };
}

function movedNote(name: string, { before, now }: NonNullable<RunHandle["renamed"]>): Note {
  const called = now === before ? `keeps its name there, ${now}` : `is called ${now} there instead of ${before}`;
  return {
    code: "moved",
    message: `${name} was sent before, from another directory or under another root; its run ${called}`,
  };
}

function calledNote(name: string, { before, now }: NonNullable<RunHandle["called"]>): Note {
  const kept = `keeps the name ${now} there, which it was given by hand`;
  return {
    code: "called",
    message: `${name} ${now === before ? kept : `is called ${now} there instead of ${before}`}`,
  };
}

/** Whether it is about the runs beside or below; by itself it makes no run. */
function isExperiment(datum: Datum): boolean {
  return datum.kind === "hparams" && datum.record.type === "experiment";
}

/** What a destination remembers, in the form of what this machine would. @param before what this machine knows of the files */
function asStored(name: string, marks: readonly FileMark[], before: readonly StoredFile[]): StoredRun {
  const losses = new Map(before.map((file) => [file.key, file.losses]));
  const files = marks.map(
    (mark): StoredFile => ({
      ...mark,
      stamp: "",
      restartStep: undefined,
      losses: losses.get(mark.key) ?? [],
      counts: "[]",
    }),
  );
  return { ...newRun(name), files };
}
