/** Something its reader can mend; the message says how, and no stack trace is shown. */
export class LaunchFailure extends Error {}
