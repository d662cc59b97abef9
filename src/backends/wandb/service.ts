/** What W&B's answers mean beyond what HTTP says. */
import type { JsonObject } from "../../net/request.ts";
import type { ErrorAnswer, Judgement, Service, ServiceError } from "../../net/service.ts";
import { HOW_TO_LOG_IN } from "./login.ts";

export const WANDB: Service = {
  title: "a W&B server",
  hints: {
    login: HOW_TO_LOG_IN,
    address:
      "check WANDB_BASE_URL, with the path if the server has one, and whether a proxy or a page to log in stands before it",
    givenAddress: "WANDB_BASE_URL",
    authority: "set SSL_CERT_FILE to the file of the authority that signed its certificate",
    clientCertificate: "W&B has no client certificates: a proxy stands before the server",
  },
  readError,
  judge,
};

/** `{"errors":[{message, extensions: {code}}]}` of GraphQL, `{"error": message}` of the rest. */
function readError(json: JsonObject | undefined, text: string): ServiceError {
  const [first] = Array.isArray(json?.["errors"]) ? (json["errors"] as unknown[]) : [];
  const { message = json?.["error"], extensions } = (first ?? {}) as {
    readonly message?: unknown;
    readonly extensions?: { readonly code?: unknown };
  };
  const code = extensions?.code;
  return { code: typeof code === "string" ? code : "", said: typeof message === "string" ? message : text };
}

/**
 * W&B's client tries all errors again but these. Its 5xx are HTTP's own here.
 *
 * Source: core/internal/clients/retry_policy.go.
 */
const FINAL: ReadonlySet<number> = new Set([400, 401, 403, 404, 409, 410, 413, 422, 501]);

const MAY_PASS = { kind: "failed", isBusy: false, isThrottled: false, isNotDone: false } as const;

function judge({ request, status, error }: ErrorAnswer): Judgement | undefined {
  if (status === 403) {
    const hint = "check --wandb-entity and --wandb-project, and what the owner of the API key may do there";
    return { kind: "refused", what: `does not allow ${request.shownAs ?? request.path}`, hint };
  }
  // Two that make the same run at the same moment: W&B's client tries this one again, and no other 409.
  if (status === 409 && request.shownAs === "UpsertBucket" && !isDeletedRun(error.said)) return MAY_PASS;
  if (status === 429 || status === 503 || FINAL.has(status)) return undefined;
  return status >= 400 ? MAY_PASS : undefined;
}

/** Ids of deleted runs are never free again. */
export function isDeletedRun(said: string): boolean {
  return /previously created and deleted/.test(said);
}
