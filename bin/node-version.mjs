/** The least major version of Node that can install Gatehouse, which then brings the version that it runs on. */
const leastMajor = 20;

/** Says so on standard error, and sets the exit code, when this Node is too old. Must load on old ones itself. */
export function isNodeRecentEnough() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= leastMajor) return true;
  console.error(
    'Gatehouse needs Node ' +
      leastMajor +
      ' or newer; this is ' +
      process.version +
      '.\n' +
      'Install a current one, for example from https://nodejs.org, and run this again.',
  );
  process.exitCode = 1;
  return false;
}
