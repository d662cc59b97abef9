/** Options that all trackers take. */
export const TRACKER_OPTIONS = {
  experiment: {
    form: "text",
    value: "<name>",
    fallbacks: ["MLFLOW_EXPERIMENT_NAME", "TRACELET_PROJECT"],
    defaultText: "Default",
    help: "experiment; else $MLFLOW_EXPERIMENT_NAME, else $TRACELET_PROJECT, else Default",
  },
  maxArtifactSize: { form: "bytes", value: "<size>", help: "skip values and pages with a file larger than this" },
  resendDeleted: {
    form: "flag",
    help: "send runs that were deleted at the destination again, as new runs",
    commands: ["sync", "watch"],
  },
} as const;
