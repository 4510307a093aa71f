/**
 * Makes the plugin of kubectl that needs nothing but Node: a folder's deeprt-kubectl-VERSION.tar.gz, and deeprt.yaml, by which krew
 * installs it.
 *
 *   node dist/hack/kubectl-plugin.js FOLDER
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { stringify } from 'yaml';
import { VERSION } from '../api/version.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOWNLOADS = 'https://deeprt.dev/releases';

const COMPLETION = `#!/bin/sh
# What kubectl asks when a word after "kubectl deeprt" is completed; linked to under this name in the PATH.
exec "$(dirname "$(readlink -f "$0")")/kubectl-deeprt" __complete "$@"
`;

const LAUNCHER = `#!/bin/sh
# kubectl deeprt, with the Node of the PATH.
set -eu
command -v node >/dev/null || { echo "deeprt: needs Node 22.19 or newer in the PATH" >&2; exit 2; }
DEEPRT_CALLED_AS=kubectl-deeprt
export DEEPRT_CALLED_AS
exec node "$(dirname "$(readlink -f "$0")")/dist/cli/plugin.js" "$@"
`;

/** Packages of other people that are in the plugin, as folders of node_modules. */
async function bundle(out: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [join(ROOT, 'dist/cli/plugin.js')],
    outdir: join(out, 'dist/cli'),
    bundle: true,
    splitting: true,
    minify: true,
    // Names of classes are told to people.
    keepNames: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    legalComments: 'none',
    metafile: true,
    logLevel: 'error',
    // What is no ES module asks for what Node has.
    banner: {
      js: "import { createRequire as newRequire } from 'node:module';const require = newRequire(import.meta.url);",
    },
  });
  const packages = Object.keys(metafile.inputs).flatMap(
    (input) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1] ?? [],
  );
  return [...new Set(packages)].sort();
}

async function licenses(packages: readonly string[]): Promise<string> {
  const texts = await Promise.all(
    packages.map(async (name) => {
      const folder = join(ROOT, 'node_modules', name);
      const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Record<
        string,
        string
      >;
      const files = (await readdir(folder)).filter((file) => /^(licen[sc]e|notice|copying)/i.test(file)).sort();
      const said = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
      return [`${name} ${version ?? ''} (${license ?? ''})`, ...said].join('\n\n');
    }),
  );
  return `${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/** Of krew's kind Plugin (krew, "Developing kubectl plugins"). */
const manifest = (archive: string, sha256: string): object => ({
  apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
  kind: 'Plugin',
  metadata: { name: 'deeprt' },
  spec: {
    version: `v${VERSION}`,
    homepage: 'https://deeprt.dev',
    shortDescription: 'Why tenants of GPUs are (not) admitted, and who gets what',
    description:
      'Asks a cluster with DeepRT what people ask of it: why a camera stream is not promised its deadline and what would change that, how full devices are, what would happen if, who gets how much, and why frames were late.',
    caveats: 'Needs Node 22.19 or newer in the PATH.',
    platforms: [
      {
        selector: { matchExpressions: [{ key: 'os', operator: 'In', values: ['linux', 'darwin'] }] },
        uri: `${DOWNLOADS}/v${VERSION}/${archive}`,
        sha256,
        bin: 'kubectl-deeprt',
        files: [{ from: '*', to: '.' }],
      },
    ],
  },
});

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('say where to: node dist/hack/kubectl-plugin.js FOLDER');
await mkdir(folder, { recursive: true });
const out = await mkdtemp(join(tmpdir(), 'deeprt-plugin-'));
try {
  await writeFile(join(out, 'THIRD-PARTY-LICENSES'), await licenses(await bundle(out)));
  for (const [name, script] of [
    ['kubectl-deeprt', LAUNCHER],
    ['kubectl_complete-deeprt', COMPLETION],
  ] as const) {
    await writeFile(join(out, name), script);
    await chmod(join(out, name), 0o755);
  }
  await writeFile(
    join(out, 'package.json'),
    `${JSON.stringify({ name: 'deeprt', version: VERSION, type: 'module' })}\n`,
  );
  await copyFile(join(ROOT, 'LICENSE'), join(out, 'LICENSE'));
  await cp(join(ROOT, 'crds'), join(out, 'crds'), { recursive: true });
  const archive = `deeprt-kubectl-${VERSION}.tar.gz`;
  const path = join(folder, archive);
  // The same bytes of the same files, whoever makes them and when.
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--mode=u+rwX,go=rX'];
  execFileSync('tar', [...same, '-C', out, '-I', 'gzip -n', '-cf', path, '.']);
  const sha256 = createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
  await writeFile(join(folder, 'deeprt.yaml'), stringify(manifest(archive, sha256)));
} finally {
  await rm(out, { recursive: true });
}
