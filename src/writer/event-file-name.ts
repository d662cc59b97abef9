/** Names of event files, as TensorBoard's own writers make them. */
import os from "node:os";

let files = 0;

/** A name that no other file of this process has. @param suffix behind it */
export function eventFileName(suffix = ""): string {
  const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, "0");
  return `events.out.tfevents.${seconds}.${os.hostname()}.${process.pid}.${files++}${suffix}`;
}
