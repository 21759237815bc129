// The layer rule of ARCHITECTURE.md: a folder imports only from folders before it in this list.
const layers = ['bytes', 'formats', 'ctypes', 'memory', 'cpu', 'abi', 'link', 'kernel', 'systems', 'catalog', 'targets', 'tools', 'cli'];
const pure = layers.slice(0, layers.indexOf('targets'));

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'types may refer to each other across files (a kernel and its parts do); code may not',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    ...layers.map((layer, i) => ({
      name: `layer-${layer}`,
      comment: `${layer} may not import from a later layer`,
      severity: 'error',
      from: { path: `^src/${layer}/` },
      to: { path: layers.slice(i + 1).map((later) => `^src/${later}/`).concat('^src/[^/]+\\.ts$') },
    })),
    {
      name: 'pure-layers',
      comment: 'bytes to catalog never touch the machine: no node built-ins',
      severity: 'error',
      from: { path: pure.map((layer) => `^src/${layer}/`) },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-cross-system',
      comment: 'a system knows nothing of another system',
      severity: 'error',
      from: { path: '^src/systems/([^/]+)/' },
      to: { path: '^src/systems/', pathNot: '^src/systems/$1/' },
    },
    {
      name: 'not-in-production',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
  },
};
