/** The GraphQL documents of W&B's client 0.31, as far as they are sent: the same operations, variables and fields. */

export const VIEWER = "query Viewer { viewer { id entity username flags teams { edges { node { name } } } } }";

export const RUN_RESUME_STATUS = `query RunResumeStatus($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) {
    id
    name
    entity { id name }
    bucket(name: $name, missingOk: true) {
      id
      name
      summaryMetrics
      displayName
      logLineCount
      historyLineCount
      eventsLineCount
      historyTail
      eventsTail
      config
      tags
      notes
      wandbConfig(keys: ["t"])
    }
  }
}`;

export const UPSERT_BUCKET = `mutation UpsertBucket(
  $id: String, $name: String, $project: String, $entity: String, $groupName: String, $description: String,
  $displayName: String, $notes: String, $commit: String, $config: JSONString, $host: String, $debug: Boolean,
  $program: String, $repo: String, $jobType: String, $state: String, $sweep: String, $tags: [String!],
  $summaryMetrics: JSONString
) {
  upsertBucket(input: {
    id: $id, name: $name, groupName: $groupName, modelName: $project, entityName: $entity, description: $description,
    displayName: $displayName, notes: $notes, commit: $commit, config: $config, host: $host, debug: $debug,
    jobProgram: $program, jobRepo: $repo, jobType: $jobType, state: $state, sweep: $sweep, tags: $tags,
    summaryMetrics: $summaryMetrics
  }) {
    bucket {
      id
      name
      displayName
      description
      config
      sweepName
      project { id name entity { id name } }
      historyLineCount
    }
    inserted
  }
}`;

export const CREATE_RUN_FILES = `mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run, files: $files}) {
    runID
    uploadHeaders
    files { name uploadUrl }
  }
}`;

/** Of the public API, `wandb.Api().run()`, as far as its fields are needed. */
export const RUN = `query Run($project: String!, $entity: String!, $name: String!) {
  project(name: $project, entityName: $entity) {
    run(name: $name) {
      name
      state
      config
      summaryMetrics
      historyLineCount
      eventsLineCount
      historyKeys
    }
  }
}`;

/** How `scan_history` reads the rows of a range of `_step`s. */
export const HISTORY_PAGE = `query HistoryPage(
  $entity: String!, $project: String!, $run: String!, $minStep: Int64!, $maxStep: Int64!, $pageSize: Int!
) {
  project(name: $project, entityName: $entity) {
    run(name: $run) {
      history(minStep: $minStep, maxStep: $maxStep, samples: $pageSize)
    }
  }
}`;

/** How `wandb.Api().run().files()` reads them. */
export const RUN_FILES = `query RunFiles(
  $project: String!, $entity: String!, $name: String!, $fileCursor: String, $fileLimit: Int = 50
) {
  project(name: $project, entityName: $entity) {
    run(name: $name) {
      fileCount
      files(after: $fileCursor, first: $fileLimit) {
        edges {
          node { id name sizeBytes md5 }
          cursor
        }
        pageInfo { endCursor hasNextPage }
      }
    }
  }
}`;

/** As the client's public API lists runs, with their configs. Summaries are large where histograms are logged. */
export const RUNS = `query Runs($project: String!, $entity: String!, $cursor: String, $perPage: Int = 50, $order: String, $filters: JSONString) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $cursor, first: $perPage, order: $order) {
      edges {
        node { name state config historyLineCount eventsLineCount }
        cursor
      }
      pageInfo { endCursor hasNextPage }
    }
  }
}`;
