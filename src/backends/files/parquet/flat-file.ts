/**
 * A Parquet file of flat columns, made of typed arrays.
 *
 * hyparquet-writer takes values one by one, an int64 as a BigInt: over a microsecond a row. Here its parts are put together
 * for bytes that are a page's values already; headers, levels, compression and the footer are the library's.
 */
import type { ColumnChunk, Encoding, SchemaElement, Statistics } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { writePageHeader } from "hyparquet-writer/src/datapage.js";
import { writeRleBitPackedHybrid } from "hyparquet-writer/src/encoding.js";
import { snappyCompress } from "hyparquet-writer/src/snappy.js";

export interface FlatColumn {
  /** As the schema has it, which must not be nested. */
  readonly element: SchemaElement;
  readonly encoding: Encoding;
  /** The values that are there, encoded. */
  readonly page: Uint8Array;
  /** The distinct values, each behind its length in 32 bits, where `page` holds their indices. */
  readonly dictionary?: { readonly count: number; readonly page: Uint8Array };
  /** 1 where a row has a value, 0 where it has none; given for optional columns only. */
  readonly present?: Uint8Array;
  /** False for bytes that Snappy makes little of. */
  readonly isCompressed: boolean;
  readonly statistics?: Statistics;
}

/** Who has written a file, as its footer says it. */
export const CREATED_BY = "tracelet";

/** @returns the file, with all rows in one row group */
export function flatFile(rows: number, columns: readonly FlatColumn[]): Uint8Array {
  const room = columns.reduce((sum, { page, dictionary }) => sum + page.length + (dictionary?.page.length ?? 0), 4096);
  const writer = new ByteWriter(room);
  const schema = [{ name: "schema", num_children: columns.length }, ...columns.map(({ element }) => element)];
  const file = new ParquetWriter({ writer, schema, createdBy: CREATED_BY });
  const start = writer.offset;
  const chunks = columns.map((column) => chunkOf(writer, column, rows));
  const uncompressed = chunks.reduce((sum, { meta_data: data }) => sum + (data?.total_uncompressed_size ?? 0n), 0n);
  file.row_groups.push({
    columns: chunks,
    total_byte_size: uncompressed,
    num_rows: BigInt(rows),
    total_compressed_size: BigInt(writer.offset - start),
  });
  file.num_rows = BigInt(rows);
  void file.finish();
  return writer.getBytes();
}

function chunkOf(writer: ByteWriter, column: FlatColumn, rows: number): ColumnChunk {
  const { element, encoding, page, dictionary, present, isCompressed, statistics } = column;
  const start = writer.offset;
  let uncompressed = 0;
  const compress = (bytes: Uint8Array) => (isCompressed ? snappyCompress(bytes) : bytes);
  if (dictionary !== undefined) {
    const bytes = compress(dictionary.page);
    writePageHeader(writer, {
      type: "DICTIONARY_PAGE",
      uncompressed_page_size: dictionary.page.length,
      compressed_page_size: bytes.length,
      dictionary_page_header: { num_values: dictionary.count, encoding: "PLAIN" },
    });
    uncompressed += writer.offset - start + dictionary.page.length;
    writer.appendBytes(bytes);
  }
  const pageStart = writer.offset;
  const levels = new ByteWriter(64);
  if (present !== undefined) writeRleBitPackedHybrid(levels, present, 1);
  const bytes = compress(page);
  writePageHeader(writer, {
    type: "DATA_PAGE_V2",
    uncompressed_page_size: levels.offset + page.length,
    compressed_page_size: levels.offset + bytes.length,
    data_page_header_v2: {
      num_values: rows,
      num_nulls: present === undefined ? 0 : present.reduce((nulls, one) => nulls + 1 - one, 0),
      num_rows: rows,
      encoding,
      definition_levels_byte_length: levels.offset,
      repetition_levels_byte_length: 0,
      is_compressed: isCompressed,
    },
  });
  uncompressed += writer.offset - pageStart + levels.offset + page.length;
  writer.appendBytes(levels.getBytes());
  writer.appendBytes(bytes);
  return {
    file_offset: BigInt(start),
    meta_data: {
      type: element.type as NonNullable<SchemaElement["type"]>,
      encodings: dictionary === undefined ? [encoding] : ["PLAIN", encoding],
      path_in_schema: [element.name],
      codec: isCompressed ? "SNAPPY" : "UNCOMPRESSED",
      num_values: BigInt(rows),
      total_compressed_size: BigInt(writer.offset - start),
      total_uncompressed_size: BigInt(uncompressed),
      data_page_offset: BigInt(pageStart),
      ...(dictionary !== undefined && { dictionary_page_offset: BigInt(start) }),
      ...(statistics !== undefined && { statistics }),
    },
  };
}
