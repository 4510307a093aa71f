import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/** The rule of the house (docs/architecture.md): which folders a folder may import from. */
const mayImport = {
  sched: [],
  api: [],
  agent: ['sched', 'api'],
  operator: ['sched', 'api'],
  cli: ['sched', 'api', 'agent', 'operator'],
};
const rooms = ['sched', 'api', 'agent', 'operator', 'cli', 'bench', 'test', 'hack'];

const houseRules = Object.entries(mayImport).map(([room, allowed]) => {
  const forbidden = rooms.filter((other) => other !== room && !allowed.includes(other));
  return {
    files: [`${room}/**/*.ts`],
    // A test may build its inputs with anything that test/ offers.
    ignores: ['**/*.test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^(\\.\\./)+(${forbidden.join('|')})/`,
              message: `${room}/ may import only ${['itself', ...allowed].join(', ')} (docs/architecture.md).`,
            },
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
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      eqeqeq: 'error',
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
