/**
 * What the settings of the Python library `tracelet` are called here, for those who come from it.
 *
 * @see https://github.com/prassanna-ravishankar/tracelet/blob/main/tracelet/settings.py
 */

/** Its names → ours. */
export const SEED_NAMES: Readonly<Record<string, string>> = {
  expName: "runName",
  experimentName: "runName",
  project: "experiment",
  projectName: "experiment",
  mlflowExperimentName: "experiment",
  mlflowTrackingUri: "trackingUri",
  backendUrl: "trackingUri",
  tensorboardLogDir: "logdirs",
  captureImages: "images",
  captureHistograms: "histograms",
  captureAudio: "audio",
  trackSystemMetrics: "trackSystem",
  trackEnvironment: "trackEnv",
};

/** Those that mean nothing here: patching, frameworks, queues, and trackers that are not sent to. */
export const WITHOUT_MEANING: ReadonlySet<string> = new Set([
  "trackTensorboard",
  "trackLightning",
  "trackMetrics",
  "trackArgs",
  "trackStdout",
  "trackCheckpoints",
  "trackGpu",
  "trackDisk",
  "trackNetwork",
  "enableAutomagic",
  "automagicFrameworks",
  "enableArtifacts",
  "automagicArtifacts",
  "watchFilesystem",
  "artifactWatchDirs",
  "maxQueueSize",
  "numWorkers",
  "apiKey",
  "wandbApiKey",
  "clearmlProject",
  "clearmlProjectName",
  "clearmlTaskName",
  "aimRepo",
  "aimRepoPath",
  "aimExperiment",
  "aimExperimentName",
]);

/**
 * Its variables → ours, the stronger first. `TRACELET_PROJECT` is not among them: MLflow's own `MLFLOW_EXPERIMENT_NAME`
 * goes before it, where no file names an experiment.
 */
export const SEED_VARIABLES: Readonly<Record<string, readonly string[]>> = {
  runName: ["TRACELET_EXPERIMENT_NAME", "TRACELET_EXP_NAME"],
  experiment: ["TRACELET_MLFLOW_EXPERIMENT_NAME"],
  trackingUri: ["TRACELET_MLFLOW_TRACKING_URI", "TRACELET_BACKEND_URL"],
};
