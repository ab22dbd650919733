/**
 * The house rules about imports (see docs/decisions/0001-shape.md):
 * platform is the bottom, arrows point down, a capability is entered by its front door,
 * routes never touch stores, and no folders go round in circles.
 */
const order = [
  'platform',
  'access',
  'audit',
  'notifications',
  'limits',
  'costs',
  'guardrails',
  'cache',
  'routing',
  'gateway',
  'knowledge',
  'retrieval',
];
const upward = order.flatMap((folder, level) => {
  const above = order.slice(level + 1);
  if (above.length === 0) return [];
  return [
    {
      name: `${folder}-looks-down-only`,
      comment: `${folder} may import only what is below it: ${order.slice(0, level).join(', ') || 'nothing'}.`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: `^src/(${above.join('|')}|observability|http|compose|compose\\.ts|main\\.ts)(/|$)` },
    },
  ];
});

module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'front-door-only',
      comment: 'A capability is entered by its index.ts; what is not exported there is private.',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: {
        path: '^src/(access|audit|notifications|limits|costs|guardrails|cache|routing|gateway|knowledge|retrieval|observability)/',
        pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'],
      },
    },
    {
      name: 'compose-by-front-door',
      comment:
        'compose.ts and main.ts meet capabilities at their front doors too; sections of compose/ by the rule above.',
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$' },
      to: {
        path: '^src/(access|audit|notifications|limits|costs|guardrails|cache|routing|gateway|knowledge|retrieval|observability)/',
        pathNot: '^src/[^/]+/index\\.ts$',
      },
    },
    {
      name: 'wired-in-compose-only',
      comment: 'The sections of src/compose/ are for compose.ts; what a capability needs, it is given.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/compose(/|\\.ts$)' },
      to: { path: '^src/compose/' },
    },
    {
      name: 'composed-for-the-command-line',
      comment: 'Whoever starts the server composes it: no capability, and no section, knows the whole.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli/|main\\.ts$|.*\\.test\\.ts$)' },
      to: { path: '^src/compose\\.ts$' },
    },
    {
      name: 'routes-never-touch-stores',
      severity: 'error',
      from: { path: '\\.routes\\.ts$' },
      to: { path: '\\.store\\.ts$' },
    },
    {
      name: 'product-does-not-import-tests-or-tools',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(test|tools|bench)/' },
    },
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-undeclared-packages',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'unknown', 'undetermined'] },
    },
    {
      name: 'no-dev-packages-in-product',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/@types/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
