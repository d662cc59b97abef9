/** Artifacts: a manifest that names files, and the files; whole when committed. */
import { createHash } from "node:crypto";
import { Refusal } from "./refusal.ts";
import type { StoredFile } from "./uploads.ts";

export interface StoredArtifact {
  readonly id: string;
  readonly type: string;
  readonly collection: string;
  readonly digest: string;
  readonly project: string;
  readonly run: string | null;
  readonly files: Map<string, StoredFile>;
  /** Base64, as they were promised. */
  readonly promised: Map<string, string>;
  readonly manifest: Map<string, StoredFile>;
  isCommitted: boolean;
}

/** The manifest's only file. */
export const MANIFEST = "wandb_manifest.json";

export class ArtifactStore {
  readonly all: StoredArtifact[] = [];

  create(fields: Pick<StoredArtifact, "type" | "collection" | "digest" | "project" | "run">): StoredArtifact {
    const id = Buffer.from(`Artifact:${this.all.length + 1}`).toString("base64");
    const empty = { files: new Map(), promised: new Map(), manifest: new Map(), isCommitted: false };
    const artifact: StoredArtifact = { id, ...fields, ...empty };
    this.all.push(artifact);
    return artifact;
  }

  /** @throws Refusal */
  byId(id: string): StoredArtifact {
    const artifact = this.all.find((each) => each.id === id);
    if (artifact === undefined) throw new Refusal(404, `artifact ${id} not found`);
    return artifact;
  }

  /** @throws Refusal if a file is not there, or is not what was promised */
  commit(artifact: StoredArtifact): void {
    const manifest = artifact.manifest.get(MANIFEST);
    if (manifest === undefined) throw new Refusal(400, "the manifest was not uploaded");
    const { contents } = JSON.parse(manifest.bytes.toString()) as { contents: { [name: string]: { digest: string } } };
    for (const [name, { digest }] of Object.entries(contents)) {
      const md5 = artifact.files.get(name)?.md5;
      if (md5 !== digest || artifact.promised.get(name) !== digest) {
        throw new Refusal(400, `${name} of the manifest is not what was uploaded`);
      }
    }
    if (digestOf(contents) !== artifact.digest) throw new Refusal(400, "the manifest is not the one of the digest");
    artifact.isCommitted = true;
  }
}

/** What names an artifact: the MD5 of its files' digests. */
function digestOf(contents: { readonly [name: string]: { readonly digest: string } }): string {
  const hash = createHash("md5").update("wandb-artifact-manifest-v1\n");
  for (const name of Object.keys(contents).sort()) hash.update(`${name}:${contents[name]?.digest}\n`);
  return hash.digest("hex");
}
