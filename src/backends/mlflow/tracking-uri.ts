/** Where the metrics go: the tracking URI, understood as MLflow and SQLAlchemy understand it. */
import { lstatSync, readdirSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { TraceletError } from "../../errors.ts";
import { type Environment, Secret } from "../../net/access.ts";
import { type UriLogin } from "./credentials.ts";

/** An MLflow server. */
export interface HttpTrackingUri {
  readonly scheme: "http";
  /** Without login, query and fragment. A path is kept: servers live below one with `--static-prefix`. */
  readonly url: URL;
  readonly login: UriLogin | undefined;
  /** The address without login and trailing slash: to show, and to put paths behind. */
  readonly redacted: string;
  readonly destinationKey: string;
}

/** MLflow's SQLite database. */
export interface SqliteTrackingUri {
  readonly scheme: "sqlite";
  /** Absolute. The file may not exist yet. */
  readonly path: string;
  /** To show, and to give to MLflow. */
  readonly redacted: string;
  readonly destinationKey: string;
}

/**
 * A place tracelet can write to. `destinationKey` is the same text however the place was spelled and holds no
 * credentials; the local state is kept under it.
 */
export type TrackingUri = HttpTrackingUri | SqliteTrackingUri;

/**
 * `--tracking-uri`, else `MLFLOW_TRACKING_URI`, else what MLflow does without them: `sqlite:///mlflow.db` in `cwd`.
 *
 * @throws TraceletError `usage` for what is no tracking URI, `unsupported` for one of a kind tracelet cannot write to
 */
export function resolveTrackingUri(option: string | undefined, env: Environment, cwd: string): TrackingUri {
  if (option !== undefined) {
    if (option.trim() === "") throw new TraceletError("usage", "--tracking-uri is empty", { hint: WHAT_WORKS });
    return parse(option.trim(), "--tracking-uri", env, cwd);
  }
  const fromEnv = env["MLFLOW_TRACKING_URI"]?.trim();
  if (fromEnv) return parse(fromEnv, "MLFLOW_TRACKING_URI", env, cwd);
  // MLflow stays with its file store where there is one; to begin a database beside it would split the user's runs.
  if (holdsFileStore(join(cwd, "mlruns"))) throw fileStore("no tracking URI was given, and ./mlruns", "./mlruns");
  return sqlite(join(cwd, "mlflow.db"));
}

const WHAT_WORKS =
  "give the http:// or https:// address of an MLflow server, or sqlite:///<file> for MLflow's SQLite database";

function parse(uri: string, source: string, env: Environment, cwd: string): TrackingUri {
  const shown = `${source} ${redact(uri)}`;
  if (uri === "databricks" || uri === "databricks-uc" || uri === "uc") throw foreign(shown);
  const scheme = /^([a-z][a-z0-9.-]+)(?:\+[^:/]*)?:/i.exec(uri)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      if (/^\[?[\w.:-]*\]?:\d+(\/|$)/.test(uri)) throw looksLikeHost(shown);
      throw fileStore(shown, redact(uri));
    case "file":
      throw fileStore(shown, redact(uri));
    case "http":
    case "https":
      return parseHttp(uri, source, shown, env);
    case "sqlite":
      return parseSqlite(uri, shown, cwd);
    case "postgresql":
    case "postgres":
    case "mysql":
    case "mssql":
    case "oracle":
      throw new TraceletError("unsupported", `${shown} is a database server, which tracelet does not write to itself`, {
        hint: "run `mlflow server --backend-store-uri <that URI>` over it and give the http:// address of that server",
      });
    case "databricks":
    case "databricks-uc":
    case "uc":
    case "arn":
    case "azureml":
      throw foreign(shown);
    default:
      if (/^[\w.-]+:\d+(\/|$)/.test(uri)) throw looksLikeHost(shown);
      throw new TraceletError("usage", `${shown} is no tracking URI`, { hint: WHAT_WORKS });
  }
}

function parseHttp(uri: string, source: string, shown: string, env: Environment): HttpTrackingUri {
  let url: URL;
  try {
    url = new URL(uri);
  } catch {
    // The URL class' own error carries the text, and with it a password.
    throw new TraceletError("usage", `${source} is no valid address`, {
      hint: "characters such as @ : / # in a user name or password must be percent-encoded; or use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    });
  }
  if (url.search !== "" || url.hash !== "") {
    throw new TraceletError("usage", `${shown} has a part after ? or #, which no tracking URI has`, {
      hint: "give only the part before it",
    });
  }
  const login =
    url.username || url.password
      ? { username: new Secret(percentDecode(url.username)), password: new Secret(percentDecode(url.password)) }
      : undefined;
  url.username = "";
  url.password = "";
  url.pathname = url.pathname.replace(/\/+$/, "");
  const base = url.href.replace(/\/$/, "");
  // A workspace is a world of its own: the same experiment name there is another experiment.
  const workspace = env["MLFLOW_WORKSPACE"]?.trim();
  const destinationKey =
    workspace && workspace !== "default" ? `${base}?workspace=${encodeURIComponent(workspace)}` : base;
  return { scheme: "http", url, login, redacted: base, destinationKey };
}

/** Options of Python's driver that leave the question which file, and how it is locked, alone. */
const HARMLESS_OPTIONS: ReadonlySet<string> = new Set([
  "timeout",
  "check_same_thread",
  "cached_statements",
  "detect_types",
]);

function parseSqlite(uri: string, shown: string, cwd: string): SqliteTrackingUri {
  const parts = /^sqlite(\+[^:/]*)?:(?:\/\/([^/?]*)(?:\/([^?]*))?(?:\?(.*))?)?/is.exec(uri) ?? [];
  const [, driver, host, database, query] = parts;
  if (driver !== undefined && driver.toLowerCase() !== "+pysqlite") {
    throw new TraceletError("unsupported", `${shown} asks for a driver that tracelet does not have`, { hint: SLASHES });
  }
  if (host !== "") {
    throw new TraceletError("usage", `${shown} has too few slashes`, { hint: SLASHES });
  }
  const options = [...new URLSearchParams(query ?? "").keys()].filter((name) => !HARMLESS_OPTIONS.has(name));
  if (options.length > 0) {
    throw new TraceletError("unsupported", `${shown} has options that tracelet does not know: ${options.join(", ")}`, {
      hint: SLASHES,
    });
  }
  const file = percentDecode(database ?? "");
  if (file === "" || file === ":memory:" || file.startsWith("file:")) {
    throw new TraceletError("unsupported", `${shown} is no database in a file`, { hint: SLASHES });
  }
  if (file.includes("\0") || file.endsWith("/"))
    throw new TraceletError("usage", `${shown} names no file`, { hint: SLASHES });
  return sqlite(resolve(cwd, file));
}

const SLASHES = "write sqlite:///relative/path.db or sqlite:////absolute/path.db";

function sqlite(path: string): SqliteTrackingUri {
  return { scheme: "sqlite", path, redacted: `sqlite:///${path}`, destinationKey: `sqlite:${realPath(path)}` };
}

/** `path` with symbolic links followed as far as it exists; the same before and after the file is created. */
function realPath(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), basename(path));
  }
}

/** MLflow's own test: a folder of digits with a `meta.yaml` in it. */
function holdsFileStore(folder: string): boolean {
  try {
    return readdirSync(folder).some((name) => {
      if (!/^\d+$/.test(name)) return false;
      return lstatSync(join(folder, name, "meta.yaml"), { throwIfNoEntry: false }) !== undefined;
    });
  } catch {
    return false;
  }
}

function fileStore(what: string, folder: string): TraceletError {
  return new TraceletError(
    "unsupported",
    `${what} is a folder of MLflow's file store, which tracelet does not write to`,
    {
      hint: `move it into a database with \`mlflow migrate-filestore --source ${folder.replace(/^file:(\/\/)?/i, "")} --target sqlite:///mlflow.db\` and give that, or ${WHAT_WORKS}`,
    },
  );
}

function foreign(shown: string): TraceletError {
  return new TraceletError("unsupported", `${shown} is a hosted MLflow that tracelet cannot log in to`, {
    hint: WHAT_WORKS,
  });
}

function looksLikeHost(shown: string): TraceletError {
  return new TraceletError("usage", `${shown} lacks http:// or https:// in front`, { hint: WHAT_WORKS });
}

/** `uri` for a message: what may be a login or a key in a query is left out, whatever else is wrong with the text. */
function redact(uri: string): string {
  return uri
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, "$1")
    .replace(/[?#].*$/s, "")
    .replace(/[\p{Cc}\p{Cf}]/gu, "");
}

/** Percent-decoding as Python's `unquote` does it: what is no escape stays, bytes that are no UTF-8 become U+FFFD. */
function percentDecode(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll("%", ""), "hex").toString());
}
