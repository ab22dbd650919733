import { Socket } from 'node:net';
import { createFrameReader, encodeHead, type Request, type Response } from './frames.ts';
import { parseBytes } from './parse-bytes.ts';
import { ParseFailure, type ParseFailureReason } from './parse-failure.ts';
import { refuseNetwork } from './refuse-network.ts';
import { startLifeline } from './start-lifeline.ts';

/**
 * The process in which files are read: one at a time, from the pipe 3, answered on the pipe 4. It is started by
 * `reader-process.ts` without environment, network, write access, or read access to anything but the program itself.
 */
const INPUT = 3;
const OUTPUT = 4;
const LONGEST_DETAIL = 2000;
const BYTES_PER_MIB = 1024 * 1024;

const input = new Socket({ fd: INPUT, readable: true, writable: false });
const output = new Socket({ fd: OUTPUT, readable: false, writable: true });
refuseNetwork();
startLifeline();

// Libraries leave promises behind when they give up on a file. The file's own promise is the one that counts.
process.on('unhandledRejection', () => {});

output.write(encodeHead({ ready: true, bodyBytes: 0 }));
const requests = createFrameReader<Request>(input);
for (;;) {
  const request = await requests.next(Number.MAX_SAFE_INTEGER);
  if (request === undefined) break;
  const { answer, text } = await read(request.head, request.body);
  const body = Buffer.from(text, 'utf8');
  const residentMiB = process.memoryUsage.rss() / BYTES_PER_MIB;
  output.write(encodeHead({ answer, residentMiB, bodyBytes: body.length }));
  output.write(body);
}
process.exit(0);

async function read(request: Request, file: Buffer): Promise<{ answer: Response['answer']; text: string }> {
  try {
    const { text, ...document } = await parseBytes(file, request, request.limits);
    return { answer: { document }, text };
  } catch (error) {
    return { answer: { failure: failureOf(error) }, text: '' };
  }
}

function failureOf(error: unknown): { reason: ParseFailureReason; message: string; detail: string } {
  if (error instanceof ParseFailure) {
    return { reason: error.reason, message: error.message, detail: describe(error.cause) };
  }
  // `parseBytes` throws nothing else: this is a defect of ours, and better told than a dead process.
  const message = 'Reading the file failed unexpectedly. Export it again, or in another format.';
  return { reason: 'reader_crashed', message, detail: describe(error) };
}

function describe(cause: unknown): string {
  return (cause instanceof Error ? (cause.stack ?? cause.message) : '').slice(0, LONGEST_DETAIL);
}
