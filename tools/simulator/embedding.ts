import { hash32 } from './seeded.ts';
import { isLittleWord, stemsOf } from './words.ts';

/** Each stem lands on this many coordinates, so that two stems that share one still differ in the others. */
const coordinatesPerStem = 8;

/**
 * A bag of stems hashed onto a unit vector: each stem adds 1 + ln(count) to eight signed coordinates of its own, a
 * little word a twentieth of that. Texts that share words are near each other by cosine, others nearly at right
 * angles. A text without any word gets one fixed direction, since a zero vector has no cosine.
 */
export function embedText(text: string, dimensions: number, seed: number): Float32Array {
  const counts = new Map<string, number>();
  for (const word of stemsOf(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const sums = new Float64Array(dimensions);
  if (counts.size === 0) sums[0] = 1;
  for (const [word, count] of counts) {
    const weight = (1 + Math.log(count)) * (isLittleWord(word) ? 0.05 : 1);
    for (let part = 0; part < coordinatesPerStem; part += 1) {
      const hash = hash32(word, seed + Math.imul(part, 0x9e3779b9));
      const coordinate = (hash >>> 1) % dimensions;
      sums[coordinate] = (sums[coordinate] ?? 0) + (hash & 1 ? weight : -weight);
    }
  }
  return unitVector(sums);
}

function unitVector(sums: Float64Array): Float32Array {
  const norm = Math.sqrt(sums.reduce((total, sum) => total + sum * sum, 0));
  // Signed contributions can cancel out to nothing in very few dimensions.
  if (norm === 0) return Float32Array.of(1, ...new Float32Array(sums.length - 1));
  return Float32Array.from(sums, (sum) => sum / norm);
}

/** Nine significant digits name a 32-bit float exactly, so that both encodings carry the same vector. */
export function asNumbers(vector: Float32Array): number[] {
  return Array.from(vector, (value) => Number(value.toPrecision(9)));
}

/** Little-endian 32-bit floats, as the OpenAI API encodes them. */
export function asBase64(vector: Float32Array): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4);
  vector.forEach((value, index) => {
    bytes.writeFloatLE(value, index * 4);
  });
  return bytes.toString('base64');
}
