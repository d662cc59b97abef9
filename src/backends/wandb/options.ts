/** The options of Weights & Biases. Nothing here loads anything: the help needs it at once. */
import { TRACKER_OPTIONS } from "../tracker-options.ts";

const OWN_OPTIONS = {
  wandbProject: {
    form: "text",
    value: "<name>",
    fallbacks: ["WANDB_PROJECT"],
    help: "W&B project; else $WANDB_PROJECT, else --experiment, else uncategorized",
  },
  wandbEntity: {
    form: "text",
    value: "<name>",
    fallbacks: ["WANDB_ENTITY"],
    help: "W&B user or team; else $WANDB_ENTITY, else the default one of the API key",
  },
  wandbMode: {
    form: "text",
    value: "<mode>",
    fallbacks: ["WANDB_MODE"],
    help: "online or offline, which writes what `wandb sync` uploads, in $WANDB_DIR or here; else $WANDB_MODE, else online",
  },
} as const;

export const WANDB_OPTIONS: typeof OWN_OPTIONS & typeof TRACKER_OPTIONS = { ...OWN_OPTIONS, ...TRACKER_OPTIONS };
