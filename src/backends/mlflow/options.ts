/** The options of MLflow. Nothing here loads anything: the help needs it at once. */
import { TRACKER_OPTIONS } from "../tracker-options.ts";

const OWN_OPTIONS = {
  trackingUri: {
    form: "text",
    value: "<uri>",
    path: "sqlite",
    fallbacks: ["MLFLOW_TRACKING_URI"],
    defaultText: "sqlite:///mlflow.db",
    help: "server (http://…) or database (sqlite:///…); else $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db",
  },
} as const;

export const MLFLOW_OPTIONS: typeof OWN_OPTIONS & typeof TRACKER_OPTIONS = { ...OWN_OPTIONS, ...TRACKER_OPTIONS };
