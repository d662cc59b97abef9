/**
 * Precision-recall curves → a table, and the chart that W&B's own sync draws of it. The table has the counts as well, which
 * W&B's sync leaves out.
 *
 * Source: core/internal/tensorboard/tfeventconverterprcurves.go, core/internal/wbvalue/{table,chart}.go.
 */
import type { PrCurveDatum } from "../../../reader/datum.ts";
import { type JsonValue, jsonText } from "../json.ts";
import { keyOf } from "../names.ts";
import type { Encoded } from "./encoded.ts";
import { fieldsOf, mediaFile } from "./media-file.ts";

const COLUMNS = [
  "recall",
  "precision",
  "true_positives",
  "false_positives",
  "true_negatives",
  "false_negatives",
] as const;

export function encodePrCurve(datum: PrCurveDatum): Encoded {
  const { recall, precision, truePositives, falsePositives, trueNegatives, falseNegatives, numThresholds } = datum;
  const columns = [recall, precision, truePositives, falsePositives, trueNegatives, falseNegatives];
  const data = Array.from({ length: numThresholds }, (_, row) => columns.map((column) => column[row] as number));
  const file = mediaFile("table", datum, Buffer.from(jsonText({ columns: COLUMNS, data })), "table.json");
  const value = { _type: "table-file", ...fieldsOf(file), ncols: COLUMNS.length, nrows: numThresholds };
  return { files: [file], values: [jsonText(value)], chart: chartOf(keyOf(datum.tag)) };
}

/** A line of recall and precision, of the table that is the last value of the key. */
function chartOf(key: string): JsonValue {
  const fields = [
    { name: "id" },
    { name: "name" },
    { name: "_defaultColorIndex" },
    { name: "summaryTable", args: [{ name: "tableKey", value: key }] },
  ];
  // W&B's page fills in the runs that are selected.
  const runSets = { name: "runSets", args: [{ name: "runSets", value: `\${runSets}` }], fields };
  return {
    panel_type: "Vega2",
    panel_config: {
      panelDefId: "wandb/line/v0",
      fieldSettings: { x: "recall", y: "precision" },
      stringSettings: { title: `${key} Precision v. Recall` },
      transform: { name: "tableWithLeafColNames" },
      userQuery: { queryFields: [runSets] },
    },
  };
}
