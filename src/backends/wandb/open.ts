/** Options and environment → a W&B server. */
import os from "node:os";
import { TraceletError } from "../../errors.ts";
import type { Environment } from "../../net/access.ts";
import type { OpenedBackend, Surroundings } from "../../sync/backend-plugin.ts";
import type { OptionsOf } from "../../sync/option.ts";
import { DryRunBackend } from "../dry-run.ts";
import { OutputDirectory } from "../output-directory.ts";
import { addressOf } from "./address.ts";
import { WandbApi, type WandbApiOptions } from "./api.ts";
import { WandbBackend } from "./backend.ts";
import { Elsewhere } from "./elsewhere.ts";
import { readLogin } from "./login.ts";
import { readMode } from "./mode.ts";
import { EndedRuns } from "./offline/ended-runs.ts";
import { OfflineStore } from "./offline/offline-store.ts";
import { OnlineApi } from "./offline/online-api.ts";
import { wandbDirectory } from "./offline/run-directories.ts";
import { shown } from "./offline/uploads.ts";
import type { WANDB_OPTIONS } from "./options.ts";
import { type Place, readPlace, remarksOn } from "./place.ts";
import { WandbReader } from "./reader.ts";
import { filesReceiptOf, tallyOf } from "./receipt.ts";
import { withSettingsFiles } from "./settings-files.ts";

export type WandbOptions = OptionsOf<typeof WANDB_OPTIONS>;

/** @throws TraceletError `usage` */
export function check(options: WandbOptions): void {
  const env = environment();
  readMode(options.wandbMode || env["WANDB_MODE"]);
  readPlace(options, env);
}

/** @throws TraceletError `usage`; `auth` if there is no API key */
export function open(options: WandbOptions, surroundings: Surroundings): OpenedBackend {
  const env = environment();
  const place = readPlace(options, env);
  if (readMode(options.wandbMode || env["WANDB_MODE"]) === "offline") return openOffline(options, surroundings, place);
  const address = addressOf(place);
  const elsewhere = new Elsewhere({ ...place, root: undefined });
  const { dryRun, live, verbose, giveUpAfterMs, shutdownTimeoutMs, signal, say } = surroundings;
  for (const remark of remarksOn(options, env)) say(remark);
  if (dryRun) return { backend: new DryRunBackend(tallyOf, filesReceiptOf), address };
  let retries = 0;
  const offline = new EndedRuns(new OutputDirectory(wandbDirectory(env, process.cwd()), "WANDB_DIR"));
  const asked: WandbApiOptions = {
    base: place.base,
    page: place.page,
    access: readLogin(place.base, env, os.homedir()),
    giveUpAfterMs,
    signal,
    // Some of the time is left for what has to be done then.
    stopGraceMs: shutdownTimeoutMs * GRACE_SHARE,
    retryWhen: live ? "throttled" : "always",
    onRetry: ({ reason, delayMs }) => {
      retries++;
      if (verbose || retries === 1) say(`${reason}; sent again in ${(delayMs / 1000).toFixed(1)} s`);
    },
  };
  const store = new OnlineApi(asked, offline);
  const { resendDeleted: resendsDeleted, maxArtifactSize: maxArtifactBytes } = options;
  const backend = new WandbBackend({ store, place, live, elsewhere, resendsDeleted, maxArtifactBytes, signal, say });
  return { backend, address, retries: () => retries, consult: (ask) => elsewhere.consult(ask) };
}

/** Nothing is asked of a server, so no API key is needed. */
function openOffline(options: WandbOptions, surroundings: Surroundings, place: Place): OpenedBackend {
  const { dryRun, live, signal, say } = surroundings;
  const env = environment();
  for (const remark of remarksOn(options, env)) say(remark);
  const root = wandbDirectory(env, process.cwd());
  const address = addressOf(place, root);
  const elsewhere = new Elsewhere({ ...place, root });
  if (dryRun) return { backend: new DryRunBackend(tallyOf, filesReceiptOf), address };
  const store = new OfflineStore(new OutputDirectory(root, "WANDB_DIR"));
  const { resendDeleted: resendsDeleted, maxArtifactSize: maxArtifactBytes } = options;
  const backend = new WandbBackend({ store, place, live, elsewhere, resendsDeleted, maxArtifactBytes, signal, say });
  const howToLook = `Upload with: wandb sync ${shown(root)}`;
  // A watch has no end at which it would tell.
  if (live) say(`writing to ${root}. ${howToLook}`, "info");
  return { backend, address, howToLook, consult: (ask) => elsewhere.consult(ask) };
}

/** A W&B that is only read. @throws TraceletError `usage`; `auth` if there is no API key */
export function openToRead(
  options: WandbOptions,
  surroundings: Pick<Surroundings, "signal" | "giveUpAfterMs" | "shutdownTimeoutMs" | "say">,
): { readonly store: WandbApi; readonly reader: WandbReader; readonly place: Place; readonly address: string } {
  const { signal, giveUpAfterMs, shutdownTimeoutMs, say } = surroundings;
  const env = environment();
  if (readMode(options.wandbMode || env["WANDB_MODE"]) === "offline")
    throw new TraceletError("unsupported", "verify does not read what is written with --wandb-mode offline", {
      hint: "upload it with `wandb sync`, and compare what the server has: --wandb-mode online",
    });
  const place = readPlace(options, env);
  const store = new WandbApi({
    base: place.base,
    page: place.page,
    access: readLogin(place.base, env, os.homedir()),
    giveUpAfterMs,
    signal,
    stopGraceMs: shutdownTimeoutMs * GRACE_SHARE,
    onRetry: ({ reason, delayMs }) => say(`${reason}; asked again in ${(delayMs / 1000).toFixed(1)} s`),
  });
  return { store, reader: new WandbReader(store), place, address: addressOf(place) };
}

/** Variables, and what W&B's settings files give. */
function environment(): Environment {
  return withSettingsFiles(process.env, os.homedir(), process.cwd());
}

const GRACE_SHARE = 0.4;
