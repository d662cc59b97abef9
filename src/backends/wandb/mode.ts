/** Whether runs go to a server or to offline directories: `--wandb-mode`, and what W&B's own client takes for it. */
import { TraceletError } from "../../errors.ts";

export type Mode = "online" | "offline";

/** `run` and `dryrun` are what W&B called them at first. */
const MODES: Readonly<Record<string, Mode>> = {
  online: "online",
  run: "online",
  offline: "offline",
  dryrun: "offline",
};

/** W&B has these, too. */
const WITHOUT_MEANING: Readonly<Record<string, string>> = {
  disabled: "would write nothing at all: leave wandb out of --backend, or see what would be sent with --dry-run",
  shared: "is for several processes that write to one run, and tracelet is the only writer of its runs: use online",
};

/** @param text undefined or empty: the default @throws TraceletError `usage` */
export function readMode(text: string | undefined): Mode {
  const asked = text || "online";
  const mode = Object.hasOwn(MODES, asked) ? MODES[asked] : undefined;
  if (mode !== undefined) return mode;
  const why = Object.hasOwn(WITHOUT_MEANING, asked) ? WITHOUT_MEANING[asked] : undefined;
  throw new TraceletError("usage", `--wandb-mode ${asked} ${why ?? "is not a W&B mode"}`, {
    hint: "use online or offline; it may come from WANDB_MODE or a settings file of `wandb offline`",
  });
}
