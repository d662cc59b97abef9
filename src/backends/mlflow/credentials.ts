/** How to speak to an MLflow server, read from the environment as MLflow's own client reads it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TraceletError } from "../../errors.ts";
import {
  basicLogin,
  type Environment,
  FixedAccess,
  headerValue,
  readPem,
  readProxies,
  type Secret,
  type TlsOptions,
} from "../../net/access.ts";

/** User name and password as they stood in the tracking URI; either may be empty. */
export interface UriLogin {
  readonly username: Secret;
  readonly password: Secret;
}

/** The credentials, TLS material, proxy and time limit of one MLflow. */
export class Credentials extends FixedAccess {
  /** Things the user should be told once; no secrets in them. */
  readonly warnings: readonly string[];

  constructor(parts: ConstructorParameters<typeof FixedAccess>[0], warnings: readonly string[]) {
    super(parts);
    this.warnings = warnings;
  }
}

/**
 * Read what MLflow's client would read, with its precedence: a login in the URI, then user name and password
 * (environment before `~/.mlflow/credentials`), then the token.
 *
 * @param home the folder that holds `.mlflow/credentials`
 * @throws TraceletError `usage` for a value or file that cannot be used, `unsupported` for logins that only Python has
 */
export function readCredentials(login: UriLogin | undefined, env: Environment, home: string): Credentials {
  if (env["MLFLOW_TRACKING_AUTH"]) throw unsupportedLogin("MLFLOW_TRACKING_AUTH");
  if (flag(env, "MLFLOW_TRACKING_AWS_SIGV4")) throw unsupportedLogin("MLFLOW_TRACKING_AWS_SIGV4");
  const warnings: string[] = [];
  const file = readCredentialsFile(home);
  const username = env["MLFLOW_TRACKING_USERNAME"] || file.get("mlflow_tracking_username") || "";
  const password = env["MLFLOW_TRACKING_PASSWORD"] || file.get("mlflow_tracking_password") || "";
  const token = (env["MLFLOW_TRACKING_TOKEN"] ?? "").trim();
  if (!login && (username === "") !== (password === "")) {
    warnings.push(`only one of MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD is set: it is not used`);
  }
  const authorization = login
    ? basicLogin(login.username.reveal(), login.password.reveal())
    : username && password
      ? basicLogin(username, password)
      : token
        ? { kind: "bearer" as const, header: headerValue(`Bearer ${token}`, "MLFLOW_TRACKING_TOKEN") }
        : undefined;

  const insecure = flag(env, "MLFLOW_TRACKING_INSECURE_TLS");
  if (insecure) warnings.push("MLFLOW_TRACKING_INSECURE_TLS is set: anyone on the way can pose as the server");
  const workspace = env["MLFLOW_WORKSPACE"]?.trim();
  return new Credentials(
    {
      login: authorization,
      headers: workspace ? { "x-mlflow-workspace": headerValue(workspace, "MLFLOW_WORKSPACE") } : {},
      tls: readTls(env, insecure),
      ...readProxies(env),
      requestTimeoutMs: readTimeout(env),
      secrets: [
        login?.password.reveal() ?? "",
        // A lone user name in a URI is a token more often than a name.
        login?.password.reveal() === "" ? login.username.reveal() : "",
        password,
        token,
      ],
    },
    warnings,
  );
}

/** What to tell someone whom the server did not let in. */
export const HOW_TO_LOG_IN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN";

function unsupportedLogin(variable: string): TraceletError {
  return new TraceletError("unsupported", `${variable} is set, and this way to log in is not supported`, {
    hint: `unset ${variable} and ${HOW_TO_LOG_IN}`,
  });
}

/** A boolean as MLflow reads it, except that an empty variable counts as unset. */
function flag(env: Environment, name: string): boolean {
  const value = (env[name] ?? "").toLowerCase();
  if (value === "" || value === "0" || value === "false") return false;
  if (value === "1" || value === "true") return true;
  throw new TraceletError("usage", `${name} must be one of true, false, 1, 0`);
}

function readTimeout(env: Environment): number {
  const text = (env["MLFLOW_HTTP_REQUEST_TIMEOUT"] || "120").trim();
  const seconds = Number(text);
  if (/^\d{1,6}$/.test(text) && seconds > 0) return seconds * 1000;
  throw new TraceletError("usage", "MLFLOW_HTTP_REQUEST_TIMEOUT must be a whole number of seconds above 0");
}

function readTls(env: Environment, insecure: boolean): TlsOptions {
  const caPath = env["MLFLOW_TRACKING_SERVER_CERT_PATH"];
  if (insecure && caPath) {
    throw new TraceletError(
      "usage",
      "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH are both set: only one of them can be meant",
    );
  }
  const ca = readPem(env, "MLFLOW_TRACKING_SERVER_CERT_PATH");
  // One PEM file that holds both, as Python's `requests` takes it.
  const client = readPem(env, "MLFLOW_TRACKING_CLIENT_CERT_PATH");
  return {
    ...(ca !== undefined && { ca }),
    ...(client !== undefined && { cert: client, key: client }),
    ...(insecure && { rejectUnauthorized: false }),
  };
}

/** The keys of section `[mlflow]`, read as Python's configparser reads them; a file that cannot be read has none. */
function readCredentialsFile(home: string): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  let text: string;
  try {
    text = readFileSync(join(home, ".mlflow", "credentials"), "utf8");
  } catch {
    return keys;
  }
  let section = "";
  for (const line of text.split(/\r?\n/)) {
    const header = /^\[(.+)\]/.exec(line);
    if (header) section = header[1] as string;
    const entry = section === "mlflow" && /^([^#;=:[\s][^=:]*?)\s*[=:]\s*(.*?)\s*$/.exec(line);
    if (entry) keys.set((entry[1] as string).toLowerCase(), (entry[2] as string).replaceAll("%%", "%"));
  }
  return keys;
}
