/** Which of the stores a run's artifact URI means. */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { TraceletError } from "../../../errors.ts";
import type { Environment } from "../../../net/access.ts";
import type { HttpClient } from "../../../net/client.ts";
import type { Patience } from "../../../net/retries.ts";
import type { S3Place } from "../../../net/s3.ts";
import { partOf } from "../../../sync/source/file-part.ts";
import type { ArtifactStore } from "../../artifacts/artifact.ts";
import { partsOfRoot, percentDecode } from "./paths.ts";

/** Who keeps the run itself. */
export type Tracking =
  | { readonly kind: "server"; readonly http: HttpClient; readonly runId: string }
  | {
      readonly kind: "database";
      /** Folder that the database is in. */
      readonly folder: string;
      readonly patience?: Patience;
    };

export interface ArtifactStoreOptions {
  /** As MLflow gives it out. */
  readonly artifactUri: string;
  readonly tracking: Tracking;
  /** For object stores. Default: that of the process. */
  readonly env?: Environment;
}

/**
 * The store for one run's artifacts.
 *
 * @throws TraceletError `unsupported` for places that tracelet cannot write to; `rejected` for those that nothing may be
 *   written to
 */
export async function openArtifactStore({
  artifactUri,
  tracking,
  env = process.env,
}: ArtifactStoreOptions): Promise<ArtifactStore> {
  const [, scheme = "", host = "", path = artifactUri] =
    /^([a-z][a-z0-9+.-]+):(?:\/\/([^/?#]*))?(.*)$/is.exec(artifactUri) ?? [];
  switch (scheme.toLowerCase()) {
    case "":
    case "file":
      if (artifactUri === "") throw unsupported("nowhere that its server would tell", SERVE);
      return tracking.kind === "server" ? throughServer(tracking) : local(artifactUri, scheme, tracking.folder);
    case "mlflow-artifacts":
      if (tracking.kind === "database") throw unsupported("with an MLflow server", ASK_SERVER);
      return proxied(tracking.http, host, path);
    case "s3": {
      const { S3Store } = await import("../../../net/s3.ts");
      const patience = tracking.kind === "server" ? tracking.http.patience : (tracking.patience ?? {});
      if (!BUCKET.test(host)) throw unsupported("in a bucket of a name that none has", SERVE);
      // Its parts come from a server; an empty one is a part of the key.
      partsOfRoot(path);
      const prefix = path.replace(/^\/+|\/+$/g, "");
      return S3Store.open({ bucket: host, prefix, place: s3Place(env), env, patience, hints: S3_HINTS, partOf });
    }
    default:
      throw unsupported(`at ${scheme.toLowerCase()}://`, SERVE);
  }
}

/** What MLflow's client is told of an S3 by the environment. Source: mlflow/store/artifact/s3_artifact_repo.py. */
function s3Place(env: Environment): S3Place {
  return {
    endpoint: env[S3_HINTS.endpoint],
    isVirtualHosted: env["MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"] === "virtual",
    ignoresTls: /^(true|1)$/i.test(env["MLFLOW_S3_IGNORE_TLS"] ?? ""),
    owner: env["MLFLOW_S3_EXPECTED_BUCKET_OWNER"],
  };
}

const S3_HINTS = {
  instead: "let the server pass the files on: `mlflow server --serve-artifacts`",
  endpoint: "MLFLOW_S3_ENDPOINT_URL",
} as const;

/** Of every S3; an access point has letters and colons, and does not go into an address as it is. */
const BUCKET = /^[a-z0-9][\w.:-]*$/i;
/** A name or address, and a port. */
const HOST = /^(\[[\da-f:.]+\]|[\w.-]+)(:\d+)?$/i;

const SERVE =
  "let the server pass the files on: `mlflow server --serve-artifacts --artifacts-destination <that place>`, and use a new experiment: an experiment keeps the place that it was created with";
const ASK_SERVER = "give the http:// address of that server (mlflow server --serve-artifacts) as the tracking URI";

function unsupported(where: string, hint: string): TraceletError {
  return new TraceletError("unsupported", `the run's artifacts are kept ${where}: tracelet cannot write there`, {
    hint,
  });
}

/**
 * The server alone knows which disk is meant, even if a folder of this name is here too: it may be in a container, or
 * the port be forwarded.
 */
async function throughServer({ http, runId }: Tracking & { kind: "server" }): Promise<ArtifactStore> {
  const { ThroughServerStore } = await import("./through-server.ts");
  return new ThroughServerStore(http, runId);
}

async function proxied(http: HttpClient, host: string, path: string): Promise<ArtifactStore> {
  const { ProxiedStore } = await import("./proxied.ts");
  if (host === "") return new ProxiedStore(http, path);
  const base = new URL(http.base);
  // What stands there is no login, as MLflow has it.
  const server = host.replace(/^.*@/s, "");
  const url = `${base.protocol}//${server}${base.pathname.replace(/\/$/, "")}`;
  if (!HOST.test(server) || !URL.canParse(url)) throw unsupported("at an address that is none", SERVE);
  return new ProxiedStore(new URL(url).host === base.host ? http : http.elsewhere(url, "service"), path);
}

/** @param folder what a relative path is meant from: where `mlflow ui` is started most often */
async function local(uri: string, scheme: string, folder: string): Promise<ArtifactStore> {
  const { LocalStore } = await import("./local.ts");
  return new LocalStore(scheme === "" ? resolve(folder, percentDecode(uri)) : pathOfFileUri(uri, folder));
}

/** Source: `local_file_uri_to_path` in mlflow/utils/file_utils.py. */
function pathOfFileUri(uri: string, folder: string): string {
  const [path = ""] = uri.replace(/^file:(\/\/[^/?#]*)?/i, "").split(/[?#]/);
  if (process.platform === "win32") return fileURLToPath(uri);
  return resolve(folder, percentDecode(path));
}
