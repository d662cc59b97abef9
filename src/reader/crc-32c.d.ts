declare module "crc-32/crc32c.js" {
  const crc32c: {
    /** The 256-entry table of the reflected polynomial 0x82f63b78. */
    readonly table: Int32Array;
    /** CRC-32C of all of `data`, as a signed 32-bit integer. */
    buf(data: Uint8Array, seed?: number): number;
  };
  export default crc32c;
}
