import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractConfiguration from 'dependency-cruiser/config-utl/extract-depcruise-options';

/** Far fewer modules than there are means that the checker could not read TypeScript, and would find no fault. */
const fewestModules = 100;

const options = await extractConfiguration('./.dependency-cruiser.cjs');
const { output } = await cruise(['src', 'test', 'tools', 'bench'], options);
const { summary } = output as ICruiseResult;
for (const { rule, from, to } of summary.violations) console.error(`${rule.name}: ${from} → ${to}`);
console.log(`${summary.totalCruised} modules, ${summary.error} import errors`);
if (summary.totalCruised < fewestModules) {
  console.error('The import rules were checked on almost nothing; see `npx depcruise --info`.');
}
process.exitCode = summary.error > 0 || summary.totalCruised < fewestModules ? 1 : 0;
