/** Jest runs what is shipped: the compiled JavaScript in dist/, tests among it (make build comes first). */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/dist'],
  testMatch: ['**/*.test.js'],
  transform: {},
  testTimeout: 120_000,
};
