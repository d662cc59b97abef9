/** Text: Markdown, as TensorBoard takes it. */
import type { TextDatum } from "../datum.ts";
import { type Body, type PluginValue, stringsOf } from "./plugin.ts";

/**
 * A string or a table of strings of any rank. TensorBoard shows at most two dimensions; all are kept here.
 *
 * Source: tensorboard/plugins/text/summary_v2.py.
 *
 * @throws UnreadableError if the tensor holds no strings; TensorError if it cannot be decoded
 */
export function textOfTensor(value: PluginValue): Body<TextDatum> {
  const { shape, data } = stringsOf(value);
  const strings: string[] = [];
  for (let i = 0; i < data.length; i++) {
    // A tensor may repeat one string millions of times: then it is decoded, and held, once.
    strings.push(i > 0 && data[i] === data[i - 1] ? (strings[i - 1] as string) : utf8.decode(data[i]));
  }
  return { kind: "text", shape, strings };
}

// ignoreBOM: a text that begins with U+FEFF keeps it.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
