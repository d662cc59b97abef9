/** Samples → a WAV file: 16 bits, mono, as torch's `add_audio` writes it. */

const HEADER_BYTES = 44;
const PCM = 1;
const LARGEST = 32_767;

/** @param samples from -1 to 1; what lies beyond is cut @param sampleRate Hz */
export function encodeWav(samples: ArrayLike<number>, sampleRate: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + 2 * samples.length);
  bytes.write("RIFF", 0, "latin1");
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write("WAVEfmt ", 8, "latin1");
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(PCM, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(sampleRate, 24);
  bytes.writeUInt32LE(2 * sampleRate, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36, "latin1");
  bytes.writeUInt32LE(2 * samples.length, 40);
  for (let i = 0; i < samples.length; i++) {
    const sample = Math.min(1, Math.max(-1, samples[i] as number));
    bytes.writeInt16LE(Math.trunc(sample * LARGEST) || 0, HEADER_BYTES + 2 * i);
  }
  return bytes;
}
