/** The queries and mutations of the schema, by their names. */
import { readFileSync } from "node:fs";
import { MANIFEST, type StoredArtifact } from "./artifacts.ts";
import { parseRow } from "./extended-json.ts";
import { Refusal } from "./refusal.ts";
import type { RunFields, StoredRun } from "./run.ts";
import { type Asked, entityView, idOf, projectView, runView } from "./run-view.ts";

export const SCHEMA: string = readFileSync(new URL("schema.graphql", import.meta.url), "utf8");

type Nullable<T> = { readonly [K in keyof T]?: T[K] | null };

type UpsertBucket = Nullable<{
  id: string;
  name: string;
  entityName: string;
  modelName: string;
  config: string;
  summaryMetrics: string;
  groupName: string;
  jobProgram: string;
  jobRepo: string;
}> &
  Nullable<Omit<RunFields, "group" | "program" | "repo">>;

export function rootsFor(asked: Asked, features: readonly string[]): object {
  const { account } = asked;
  const project = (args: { name?: string; entityName?: string }) =>
    projectView(asked, { project: args.name ?? null, entity: args.entityName ?? null });
  return {
    viewer: {
      id: idOf("User", account.user),
      entity: account.user,
      username: account.user,
      name: account.user,
      email: `${account.user}@example.org`,
      flags: "{}",
      admin: false,
      teams: { edges: account.entities.map((name) => ({ node: entityView(name) })) },
    },
    serverInfo: { features: features.map((name) => ({ name, isEnabled: true })) },
    entity: ({ name }: { name: string }) => (account.entities.includes(name) ? entityView(name) : null),
    model: project,
    project,
    upsertBucket: ({ input }: { input: UpsertBucket }) => upsertBucket(asked, input),
    deleteRun: ({ input }: { input: { id: string } }) => {
      account.delete(byStorageId(asked, input.id));
      return {};
    },
    createRunFiles: ({ input }: { input: CreateRunFiles }) => createRunFiles(asked, input),
    ...artifactRoots(asked),
  };
}

function byStorageId({ account }: Asked, id: string): StoredRun {
  const run = account.byStorageId(id);
  if (run === undefined) throw new Refusal(404, `run ${id} not found`);
  return run;
}

function upsertBucket(asked: Asked, input: UpsertBucket): object {
  const { account, now } = asked;
  const address = { entity: input.entityName ?? null, project: input.modelName ?? null, name: input.name ?? "" };
  if (input.id == null && !input.name) throw new Refusal(400, "a run has an id or a name");
  for (const tag of input.tags ?? []) {
    if (tag.length < 1 || tag.length > 64) throw new Refusal(400, `tags have 1 to 64 characters: ${tag}`);
  }
  if (input.config != null) parseRow(input.config);
  const found = input.id == null ? account.find(address) : byStorageId(asked, input.id);
  const run = found ?? account.create(address, now);
  const { fields } = run;
  const given = { ...input, group: input.groupName, program: input.jobProgram, repo: input.jobRepo };
  const names = Object.keys(fields) as (keyof RunFields)[];
  Object.assign(
    fields,
    Object.fromEntries(names.filter((name) => given[name] != null).map((name) => [name, given[name]])),
  );
  run.configText = input.config ?? run.configText;
  run.summaryText = input.summaryMetrics ?? run.summaryText;
  return { bucket: runView(asked, run), inserted: found === undefined };
}

interface CreateRunFiles {
  readonly entityName: string;
  readonly projectName: string;
  readonly runName: string;
  readonly files: readonly string[];
}

function createRunFiles({ account, addressOf }: Asked, input: CreateRunFiles): object {
  const { entityName: entity, projectName: project, runName: name, files } = input;
  const run = account.find({ entity, project, name });
  if (run === undefined) throw new Refusal(404, `run ${entity}/${project}/${name} not found during createRunFiles`);
  for (const file of files) {
    const parts = file.split("/");
    if (parts.some((part) => ["", ".", ".."].includes(part))) throw new Refusal(400, `invalid file name: ${file}`);
  }
  const urls = files.map((file) => ({ name: file, uploadUrl: addressOf(account.uploads.sign(run.files, file)) }));
  return { runID: run.storageId, uploadHeaders: account.uploads.headers, files: urls };
}

interface CreateArtifact {
  readonly artifactTypeName: string;
  readonly artifactCollectionName?: string | null;
  readonly digest: string;
  readonly projectName: string;
  readonly runName?: string | null;
}

interface ArtifactFileSpec {
  readonly artifactID: string;
  readonly name: string;
  readonly md5: string;
}

function artifactRoots({ account, addressOf }: Asked): object {
  const { artifacts, uploads } = account;
  const view = ({ id, digest, type, isCommitted }: StoredArtifact) => ({
    id,
    digest,
    state: isCommitted ? "COMMITTED" : "PENDING",
    artifactType: { name: type },
    artifactSequence: { latestArtifact: null },
  });
  return {
    createArtifact: ({ input }: { input: CreateArtifact }) => {
      const { artifactTypeName: type, artifactCollectionName, digest, projectName: project, runName } = input;
      const fields = { type, collection: artifactCollectionName ?? "", digest, project, run: runName ?? null };
      return { artifact: view(artifacts.create(fields)) };
    },
    createArtifactManifest: ({ input }: { input: { artifactID: string } }) => {
      const { manifest } = artifacts.byId(input.artifactID);
      const uploadUrl = addressOf(uploads.sign(manifest, MANIFEST));
      const file = { id: idOf("File", MANIFEST), name: MANIFEST, uploadUrl, uploadHeaders: uploads.headers };
      return { artifactManifest: { id: idOf("ArtifactManifest", input.artifactID), file } };
    },
    createArtifactFiles: ({ input }: { input: { artifactFiles: readonly ArtifactFileSpec[] } }) => {
      const edges = input.artifactFiles.map(({ artifactID, name, md5 }) => {
        const artifact = artifacts.byId(artifactID);
        artifact.promised.set(name, md5);
        const uploadUrl = addressOf(uploads.sign(artifact.files, name));
        const upload = { uploadUrl, uploadHeaders: uploads.headers, storagePath: `wandb_artifacts/${name}` };
        return { node: { id: idOf("ArtifactFile", name), name, ...upload, artifact: view(artifact) } };
      });
      return { files: { edges } };
    },
    commitArtifact: ({ input }: { input: { artifactID: string } }) => {
      const artifact = artifacts.byId(input.artifactID);
      artifacts.commit(artifact);
      return { artifact: view(artifact) };
    },
  };
}
