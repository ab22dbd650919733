import { AppError } from '../../errors.ts';

/** PostgreSQL's last words go into the error, but not a whole log. */
const shownLines = 8;

/**
 * Turns the end of a PostgreSQL program into a sentence with a remedy.
 * @param what how the sentence goes on after "The embedded PostgreSQL".
 * @param output what the program wrote last.
 */
export function serverFailure(what: string, directory: string, output: string, cause?: unknown): AppError {
  const said = output.trim().split('\n').slice(-shownLines).join('\n  ');
  return new AppError(
    'database_unavailable',
    `The embedded PostgreSQL ${what}. ${remedyFor(directory, output)}\n  ${said}`,
    {
      cause,
    },
  );
}

function remedyFor(directory: string, output: string): string {
  if (/No space left on device|ENOSPC|Disk quota exceeded|EDQUOT/.test(output)) {
    return `The disk of ${directory} is full: make space and start again; nothing that was saved is lost.`;
  }
  if (/could not look up effective user ID/.test(output)) {
    return 'PostgreSQL needs a user with a name: add this user to /etc/passwd, or set DATABASE_URL.';
  }
  if (
    /could not create shared memory|could not create semaphores|could not map anonymous shared memory/.test(
      output,
    )
  ) {
    return 'The machine gives it too little shared memory: free some, or set DATABASE_URL.';
  }
  if (/has wrong ownership|invalid permissions|could not change permissions/.test(output)) {
    return `The file system of ${directory} does not keep owners and modes: set GATEHOUSE_DATA_DIR to a local disk.`;
  }
  return 'For more, run: node bin/gatehouse.mjs doctor. It said last:';
}
