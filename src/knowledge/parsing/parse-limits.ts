/** What one file may cost. Every limit has a default; a file beyond one fails with the reason named beside it. */
export type ParseLimits = {
  /** Bytes of the file. `too_large` */
  fileBytes: number;
  /** UTF-16 code units of the text taken from it. `too_large` */
  textLength: number;
  /** `too_many_pages` */
  pdfPages: number;
  /** Bytes that all entries of an archive unpack to. `decompression_limit` */
  unpackedBytes: number;
  /** Unpacked bytes per packed byte of one entry, once it unpacks to more than 1 MiB. `decompression_limit` */
  unpackRatio: number;
  /** Entries in an archive. `decompression_limit` */
  archiveEntries: number;
  /** Elements inside elements. `too_complex` */
  nesting: number;
  /** From the moment a reading process takes the file, in milliseconds. `timeout` */
  timeMs: number;
  /** JavaScript heap of a reading process, in MiB. `out_of_memory` */
  heapMiB: number;
  /** Resident memory of a reading process, in MiB, buffers outside the heap included; watched on Linux. `out_of_memory` */
  residentMiB: number;
};

export const defaultParseLimits: ParseLimits = {
  fileBytes: 100 * 1024 * 1024,
  textLength: 20_000_000,
  pdfPages: 5_000,
  unpackedBytes: 200 * 1024 * 1024,
  unpackRatio: 200,
  archiveEntries: 10_000,
  nesting: 500,
  timeMs: 60_000,
  heapMiB: 512,
  residentMiB: 1024,
};
