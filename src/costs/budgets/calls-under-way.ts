import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import { decodeSpoolLines, encodeSpoolLine } from '../spool-line.ts';
import type { CallUnderWay } from './budget-gate.ts';

/** A note as it is found again after a crash. */
export type NotedCall = Omit<CallUnderWay, 'principal'> & {
  readonly tenantId: string;
  readonly keyId: string;
  readonly userId: string | null;
};

/**
 * Notes on disk of calls under way under a hard limit. What a process killed with -9 was doing is read from them at the
 * next start, and gets into the books.
 */
export interface CallsUnderWay {
  /** Opens the notes of this process, and finds those that earlier ones left. Throws when it cannot be written. */
  open(): void;
  /**
   * In the operating system's hands when it returns, so it outlives kill -9. A call that goes to another target is noted
   * again; the last note holds.
   * @throws AppError `overloaded` when it cannot be written: what nobody could account for is not begun.
   */
  note(call: CallUnderWay): void;
  /** The call's own row is on its way to disk: once it is there, the note may go. */
  recorded(callId: string, written: Promise<void>): void;
  /** What earlier processes left, until `forget`. */
  left(): readonly LeftNotes[];
  forget(left: LeftNotes): void;
  /** Calls noted that have not ended. */
  size(): number;
  close(): void;
}

/** Notes of one process that is no more. */
export interface LeftNotes {
  readonly writer: string;
  readonly paths: readonly string[];
  /** Each call as it was noted last, whether it ended or not. */
  readonly calls: readonly NotedCall[];
}

interface NoteFile {
  readonly path: string;
  readonly fd: number;
  bytes: number;
  /** Calls noted in it that have not ended. */
  open: number;
  active: boolean;
}

/** A file is removed when its last call has ended, so a long call keeps this much beside it. */
const maxFileBytes = 256 * 1024;

export function createCallsUnderWay(directory: string, writer: string, log: Log): CallsUnderWay {
  const files = new Map<string, NoteFile>();
  let active: NoteFile | null = null;
  let begun = 0;
  let torn = false;
  let leftNotes: LeftNotes[] = [];

  const begin = (): NoteFile => {
    begun++;
    const path = join(directory, `${writer}.${String(begun).padStart(9, '0')}.jsonl`);
    active = { path, fd: openSync(path, 'ax', 0o600), bytes: 0, open: 0, active: true };
    return active;
  };
  const endFile = (file: NoteFile): void => {
    closeSync(file.fd);
    file.active = false;
    if (active === file) active = null;
    if (file.open === 0) rmSync(file.path, { force: true });
  };
  const release = (callId: string): void => {
    const file = files.get(callId);
    if (!file) return;
    files.delete(callId);
    file.open--;
    if (file.open === 0 && !file.active) rmSync(file.path, { force: true });
  };
  const write = (file: NoteFile, line: string): void => {
    // After a failed write the file may end in the middle of a line, which must not swallow the next one.
    const whole = torn ? `\n${line}` : line;
    torn = true;
    const written = writeSync(file.fd, whole);
    file.bytes += written;
    if (written < Buffer.byteLength(whole)) throw new Error('the disk took only a part of a note');
    torn = false;
  };

  return {
    open() {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      leftNotes = readLeft(directory, log);
      // There from the start, so that a process that was killed before its first note left its name.
      begin();
    },
    note(call) {
      try {
        if (active !== null && active.bytes >= maxFileBytes) endFile(active);
        const file = active ?? begin();
        write(file, encodeSpoolLine(encodeNote(call)));
        const before = files.get(call.id);
        files.set(call.id, file);
        file.open++;
        if (before) {
          before.open--;
          if (before.open === 0 && !before.active) rmSync(before.path, { force: true });
        }
      } catch (cause) {
        throw new AppError(
          'overloaded',
          'A call under a hard limit cannot be put on record at the moment, so it is not begun. Try again later.',
          { cause, retryAfterSeconds: 5 },
        );
      }
    },
    recorded(callId, written) {
      if (files.has(callId)) written.then(() => release(callId));
    },
    left: () => leftNotes,
    forget(left) {
      leftNotes = leftNotes.filter((other) => other !== left);
      for (const path of left.paths) rmSync(path, { force: true });
    },
    size: () => files.size,
    close() {
      if (active) endFile(active);
    },
  };
}

function readLeft(directory: string, log: Log): LeftNotes[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.jsonl'));
  const byWriter = Map.groupBy(names.sort(), (name) => name.split('.')[0] ?? '');
  return [...byWriter].map(([writer, ofWriter]) => {
    const paths = ofWriter.map((name) => join(directory, name));
    const calls = new Map<string, NotedCall>();
    for (const path of paths) {
      const { rows, torn } = decodeSpoolLines(readFileSync(path, 'utf8'));
      if (torn > 0)
        log.warn({ torn }, 'notes of calls were not written to their end; those calls were not sent');
      for (const row of rows) {
        const call = decodeNote(row);
        calls.set(call.id, call);
      }
    }
    return { writer, paths, calls: [...calls.values()] };
  });
}

function encodeNote({ principal, ...call }: CallUnderWay): string {
  const { tenantId, keyId, userId } = principal;
  return JSON.stringify({ ...call, tenantId, keyId, userId });
}

function decodeNote(json: string): NotedCall {
  const note = JSON.parse(json);
  return { ...note, at: new Date(note.at) };
}
