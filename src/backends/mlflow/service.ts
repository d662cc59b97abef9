/** What MLflow's answers mean beyond what HTTP says. */
import type { JsonObject } from "../../net/request.ts";
import type { ErrorAnswer, Judgement, Service, ServiceError } from "../../net/service.ts";
import { HOW_TO_LOG_IN } from "./credentials.ts";

export const MLFLOW: Service = {
  title: "an MLflow server",
  hints: {
    login: HOW_TO_LOG_IN,
    address:
      "check the address, with the path if the server has one (--static-prefix), and whether a proxy or a page to log in stands before it",
    givenAddress: "the tracking URI",
    authority: "set MLFLOW_TRACKING_SERVER_CERT_PATH to the file of the authority that signed its certificate",
    clientCertificate: "set MLFLOW_TRACKING_CLIENT_CERT_PATH",
  },
  readError,
  shorten: withoutSql,
  judge,
};

function readError(json: JsonObject | undefined, text: string): ServiceError {
  const code = json?.["error_code"];
  return { code: typeof code === "string" ? code : "", said: errorText(json) ?? text };
}

function judge({ status, text, error, base }: ErrorAnswer): Judgement | undefined {
  if (status === 503 && /Artifact serving is|--no-serve-artifacts/.test(text)) {
    return {
      kind: "refused",
      what: "does not serve artifacts",
      hint: "start it with `mlflow server --serve-artifacts`",
    };
  }
  // A server without workspaces answers 500 to a request that names one.
  if (error.code === "FEATURE_DISABLED") {
    return { kind: "refused", what: "cannot do that", hint: "unset MLFLOW_WORKSPACE" };
  }
  if (status === 400 && /QueuePool limit/.test(text)) {
    // It got no connection to its database within 30 s, so nothing was written.
    return { kind: "failed", isBusy: true, isThrottled: false, isNotDone: true };
  }
  if (status === 403 && /Invalid Host header/i.test(text)) {
    const hint = `start it with \`mlflow server --allowed-hosts ${new URL(base).host}\``;
    return { kind: "refused", what: "does not go by this name", hint };
  }
  return undefined;
}

/** MLflow's `message`, or the `detail` of those of its routes that are FastAPI's. */
function errorText(json: JsonObject | undefined): string | undefined {
  const said = json?.["message"] ?? json?.["detail"];
  if (said === undefined || typeof said === "string") return said;
  try {
    return JSON.stringify(said);
  } catch {
    // Nested so deep that the stack ends.
    return undefined;
  }
}

/** What SQLAlchemy says of an error, without the statement, its parameters and where to read of them. */
function withoutSql(said: string): string {
  return said.replace(/\s*\[SQL: .*/s, "").replace(/\s*\(Background on this error at: \S+\)/, "");
}
