/**
 * How often the semantic cache gives an answer to the right question, and to a wrong one, by threshold:
 * `npm run bench:semantic-cache` with the simulator's embeddings, or with a real model behind a running Gatehouse:
 * `GATEHOUSE_URL=… GATEHOUSE_API_KEY=… npm run bench:semantic-cache -- --model embeddings`.
 *
 * A hit is a pair of questions that means the same and would share an answer; a false hit is a pair that does not mean
 * the same and would share one all the same.
 */
import { parseArgs } from 'node:util';
import { literalsOf } from '../src/cache/literals.ts';
import { directionOf, product } from '../src/cache/neighbours.ts';
import { loadClientConfig } from '../src/platform/config.ts';
import { createSimulator } from '../tools/simulator/server.ts';
import { pairKinds, type QuestionPair, questionPairs } from './semantic-pairs.ts';

const { values } = parseArgs({ options: { model: { type: 'string' } } });
const thresholds = [0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99];
const batchSize = 64;

const simulator = values.model === undefined ? createSimulator({ seed: 1 }) : null;
const { url, apiKey } = simulator
  ? { url: (await simulator.start()).url, apiKey: 'sk-test' }
  : loadClientConfig();
const model = values.model ?? 'text-embedding-3-small';

const texts = [...new Set(questionPairs.flatMap(({ a, b }) => [a, b]))];
const directions = new Map<string, Float32Array>();
for (let at = 0; at < texts.length; at += batchSize) {
  const batch = texts.slice(at, at + batchSize);
  const vectors = await embed(batch);
  for (const [n, text] of batch.entries()) {
    const direction = directionOf(vectors[n] ?? new Float32Array());
    if (direction === null) throw new Error(`"${text}" has no direction`);
    directions.set(text, direction);
  }
}
await simulator?.stop();

const similarity = ({ a, b }: QuestionPair) =>
  product(directions.get(a) ?? new Float32Array(), directions.get(b) ?? new Float32Array());
/** As the cache does it: numbers and negations are compared by the letter. */
const mayShare = ({ a, b }: QuestionPair) => literalsOf(a) === literalsOf(b);
const shareAbove = (pairs: readonly QuestionPair[], threshold: number) => {
  const above = pairs.filter((pair) => mayShare(pair) && similarity(pair) >= threshold).length;
  return `${String(above).padStart(3)} of ${String(pairs.length).padEnd(3)} ${((100 * above) / pairs.length).toFixed(1).padStart(5)} %`;
};
const same = questionPairs.filter((pair) => pair.same);
const other = questionPairs.filter((pair) => !pair.same);

console.log(
  `\n${questionPairs.length} pairs: ${same.length} that mean the same, ${other.length} that do not.`,
);
console.log(
  `Embeddings: ${simulator ? 'the SIMULATOR’S (words, no meaning): these figures say nothing about a real model' : `the route "${model}" of ${url}`}.\n`,
);
console.log('threshold   hits               false hits');
for (const threshold of thresholds) {
  console.log(
    `${threshold.toFixed(2).padEnd(11)} ${shareAbove(same, threshold)}   ${shareAbove(other, threshold)}`,
  );
}
console.log('\nat 0.95, the default, by how the questions differ:');
for (const kind of pairKinds) {
  const pairs = questionPairs.filter((pair) => pair.kind === kind);
  const what = pairs[0]?.same ? 'hits' : 'false hits';
  console.log(`  ${kind.padEnd(14)} ${what.padEnd(11)} ${shareAbove(pairs, 0.95)}`);
}
const worst = other
  .filter(mayShare)
  .map((pair) => ({ pair, at: similarity(pair) }))
  .sort((x, y) => y.at - x.at);
console.log('\nmost alike without meaning the same:');
for (const { pair, at } of worst.slice(0, 5)) console.log(`  ${at.toFixed(3)}  ${pair.a} | ${pair.b}`);

async function embed(input: readonly string[]): Promise<Float32Array[]> {
  const response = await fetch(`${url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey ?? ''}` },
    body: JSON.stringify({ model, input }),
  });
  if (!response.ok) throw new Error(`${response.status}: ${(await response.text()).slice(0, 500)}`);
  const { data } = (await response.json()) as { data: { index: number; embedding: number[] }[] };
  return data.sort((x, y) => x.index - y.index).map(({ embedding }) => Float32Array.from(embedding));
}
