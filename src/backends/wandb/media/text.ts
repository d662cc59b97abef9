/**
 * Text → `html-file`: a page that needs nothing else, with the Markdown as TensorBoard renders it, in which nothing of the text
 * can run. What a page does not show of a very long text is kept in a `.json` beside it.
 *
 * Source: wandb/sdk/data_types/html.py.
 */
import { readableJson } from "../../../encode/json.ts";
import { isShownWhole, textStepPage } from "../../../encode/pages/text-page.ts";
import type { TextDatum } from "../../../reader/datum.ts";
import { jsonText } from "../json.ts";
import type { Encoded } from "./encoded.ts";
import { fieldsOf, mediaFile } from "./media-file.ts";

export function encodeText(datum: TextDatum): Encoded {
  const { tag, step, shape, strings } = datum;
  const page = mediaFile("html", datum, Buffer.from(textStepPage(tag, datum)), "html");
  const value = jsonText({ _type: "html-file", ...fieldsOf(page) });
  if (isShownWhole(datum)) return { files: [page], values: [value] };
  const whole = mediaFile("html", datum, readableJson({ shape, strings }), "json");
  const message = `text ${JSON.stringify(tag)}: too long to be shown whole; all of it is in a file beside (the first: step ${step}, ${whole.path})`;
  return { files: [page, whole], values: [value], note: { code: "cut", message } };
}
