import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** The rule of the house (docs/architecture.md): which folders a folder may import from. */
const mayImport = {
  sched: [],
  api: [],
  ui: ['api'],
  kube: [],
  agent: ['sched', 'api', 'kube', 'ui'],
  'operator/admission': ['sched', 'api'],
  operator: ['sched', 'api', 'kube', 'ui'],
  cli: ['sched', 'api', 'kube', 'ui', 'agent', 'operator'],
};
/** Inside the agent arrows point one way: a wing may import those before it, and what stands beside them. */
const wings = ['device', 'serving', 'models', 'ingest', 'profile', 'node'];
for (const wing of wings) mayImport[`agent/${wing}`] = mayImport.agent;
const rooms = ['sched', 'api', 'kube', 'agent', 'operator', 'cli', 'ui', 'bench', 'test', 'hack'];

const houseRules = Object.entries(mayImport).map(([room, allowed]) => {
  const [own, wing] = room.split('/');
  const forbidden = rooms.filter((other) => other !== own && !allowed.includes(other));
  const within = Object.keys(mayImport).filter((other) => other.startsWith(`${room}/`));
  return {
    files: [`${room}/**/*.ts`],
    // A test may build its inputs with anything that test/ offers.
    ignores: ['**/*.test.ts', ...within.map((other) => `${other}/**`)],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(${forbidden.join('|')})/`,
              message: `${room}/ may import only ${['itself', ...allowed].join(', ')} (docs/architecture.md).`,
            },
            ...(own === 'agent'
              ? [
                  {
                    regex: `^(\\.{1,2}/)+(${wings.slice(room === own ? 0 : wings.indexOf(wing) + 1).join('|') || '-'})/`,
                    message: `Inside agent/, ${room} comes before that (docs/architecture.md).`,
                  },
                ]
              : []),
            ...(room === 'kube'
              ? []
              : [{ regex: '^@kubernetes/', message: 'Only kube/ talks to the API server (docs/architecture.md).' }]),
            ...(room === 'operator/admission'
              ? [{ regex: '^\\.\\./[a-z-]+\\.js$', message: 'A decision is pure: it knows no reconciler.' }]
              : []),
            ...(room === 'sched'
              ? [{ regex: '^node:', message: 'sched/ is pure: no clock, no I/O (docs/architecture.md).' }]
              : []),
          ],
        },
      ],
    },
  };
});

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'api/generated/', '*.js'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: ['{agent,api,cli,kube,operator,ui}/**/*.ts'],
    // The one place that asks for the time of day.
    ignores: ['**/*.test.ts', 'kube/clock.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...[
          'CallExpression[callee.object.name="Date"][callee.property.name="now"]',
          'NewExpression[callee.name="Date"][arguments.length=0]',
        ].map((selector) => ({
          selector,
          message:
            'Elapsed time comes from the monotonic clock (performance.now(), kube/clock.ts), timestamps from kube/clock.ts.',
        })),
      ],
    },
  },
  {
    files: ['sched/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-globals': ['error', 'performance', 'process', 'setTimeout', 'setInterval', 'Date'],
    },
  },
  ...houseRules,
);
