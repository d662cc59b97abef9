/** The options of MLflow. Nothing here loads anything: the help needs it at once. */
export const MLFLOW_OPTIONS = {
  trackingUri: {
    form: "text",
    value: "<uri>",
    path: "sqlite",
    fallbacks: ["MLFLOW_TRACKING_URI"],
    defaultText: "sqlite:///mlflow.db",
    help: "server (http://…) or database (sqlite:///…); else $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db",
  },
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
    help: "send runs that were deleted in MLflow again, as new runs",
    commands: ["sync", "watch"],
  },
} as const;
