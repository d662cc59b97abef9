/** Whether a file that is to be sent as it is is an event file, and not only called like one. */
import type { EventFileEntry } from "../../reader/discover.ts";
import { useFile } from "../../reader/file-store.ts";
import { RecordReader } from "../../reader/tfrecord.ts";

/** @throws its store's error if it cannot be read */
export async function holdsRecord(file: EventFileEntry, maxRecordBytes: number): Promise<boolean> {
  return useFile(file, async (source) => {
    const records = new RecordReader(source, { end: file.size, maxRecordBytes });
    do if (records.next()) return true;
    while (await records.load());
    return false;
  });
}
