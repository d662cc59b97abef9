/** Whether a file that is to be sent as it is is an event file, and not only called like one. */
import { FileSource } from "../../reader/byte-source.ts";
import type { EventFileEntry } from "../../reader/discover.ts";
import { RecordReader } from "../../reader/tfrecord.ts";

/** @throws the system's error if it cannot be read */
export async function holdsRecord({ path, size }: EventFileEntry, maxRecordBytes: number): Promise<boolean> {
  return FileSource.use(path, async (source) => {
    const records = new RecordReader(source, { end: size, maxRecordBytes });
    do if (records.next()) return true;
    while (await records.load());
    return false;
  });
}
