/** What W&B's answers mean beyond what HTTP says. */
import { TraceletError } from "../../errors.ts";
import type { JsonObject } from "../../net/request.ts";
import type { ErrorAnswer, Judgement, Service, ServiceError } from "../../net/service.ts";

/** The W&B server at an address. @param login what to tell someone whom it does not let in */
export function serviceOf(login: string): Service {
  return { ...WANDB, hints: { ...WANDB.hints, login } };
}

const WANDB = {
  title: "a W&B server",
  hints: {
    address:
      "check WANDB_BASE_URL, with the path if the server has one, and whether a proxy or a page to log in stands before it",
    givenAddress: "WANDB_BASE_URL",
    authority: "set SSL_CERT_FILE to the file of the authority that signed its certificate",
    clientCertificate: "W&B has no client certificates: a proxy stands before the server",
  },
  sent: "an API key was sent",
  readError,
  judge,
} as const;

/** `{"errors":[{message, extensions: {code}}]}` of GraphQL, `{"error": message}` of the rest. */
export function readError(json: JsonObject | undefined, text: string): ServiceError {
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
  const name = request.shownAs ?? request.path;
  if (status === 403) {
    const hint = "check --wandb-entity and --wandb-project, and what the owner of the API key may do there";
    return { kind: "refused", what: `does not allow ${name}`, hint, endsAll: OF_THE_PLACE.has(name) };
  }
  if (status === 404 && /\bentity\b/.test(error.said)) {
    const hint =
      "check --wandb-entity (or WANDB_ENTITY): it is the name of a user or team, as in the address of its page";
    return { kind: "refused", what: `refuses ${name}`, hint, endsAll: true };
  }
  // Every server answers these; a run or project that is not there is no error of theirs.
  if ((status === 404 || status === 405) && (name === "Viewer" || name === "RunResumeStatus"))
    return { kind: "refused", what: `refuses ${name}`, hint: WANDB.hints.address, endsAll: true };
  // Two that make the same run at the same moment: W&B's client tries this one again, and no other 409.
  if (status === 409 && request.shownAs === "UpsertBucket" && !isDeletedRun(error.said)) return MAY_PASS;
  if (status === 429 || status === 503 || FINAL.has(status)) return undefined;
  return status >= 400 ? MAY_PASS : undefined;
}

/** What is asked before anything is sent to a run; the answer does not depend on the run. */
const OF_THE_PLACE: ReadonlySet<string> = new Set(["Viewer", "RunResumeStatus", "UpsertBucket"]);

/** Ids of deleted runs are never free again. */
export function isDeletedRun(said: string): boolean {
  return /previously created and deleted/.test(said);
}

/** @param base address of the server @param what was expected of its answer */
export function misunderstood(base: string, what: string): TraceletError {
  return new TraceletError("rejected", `${base} answers with something else than ${what}`, {
    hint: "check WANDB_BASE_URL, and whether the server's version is a current one",
  });
}
