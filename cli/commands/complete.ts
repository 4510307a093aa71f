import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Cluster } from '../../kube/cluster.js';
import { keyOf } from '../../kube/informer.js';
import { PROFILES, TENANTS } from '../../kube/kinds.js';
import { Objects } from '../../kube/objects.js';
import type { ProfileObject } from '../../operator/objects.js';
import { knownReasons } from '../cluster/explain.js';
import type { Known } from '../completion.js';
import { complete, spelledOut } from '../completion.js';
import { placeOf } from './asking.js';
import { connect } from './cluster.js';
import { print } from './shared.js';

/** Who presses a key waits no longer for names. */
const LONGEST_MS = 2000;
/** What tells the shell whether files may complete the word (spf13/cobra, ShellCompDirective). */
const DIRECTIVE = { files: 0, noFiles: 4 } as const;

/**
 * `deeprt __complete WORDS...`: prints what the last word may become, one a line, as kubectl asks its plugins'
 * `kubectl_complete-NAME` (k8s.io/kubectl, plugin_completion.go). Its words are another command's: options are none of its own.
 */
export async function printCompletion(program: Command, typed: readonly string[]): Promise<void> {
  const words = spelledOut(typed);
  const { candidates, files } = await complete(program, words, (of) => namesOf(of, words));
  const lines = candidates.map(({ text, description }) =>
    [text, description?.replaceAll('\n', ' ')].filter(Boolean).join('\t'),
  );
  print([...lines, `:${files ? DIRECTIVE.files : DIRECTIVE.noFiles}`].join('\n'));
}

/** Nobody who completes a word wants to read why names could not be had. */
async function namesOf(of: Known, words: readonly string[]): Promise<readonly string[]> {
  if (of === 'reason') return knownReasons();
  let cluster: Cluster | undefined;
  try {
    cluster = connect(after(words, '--kubeconfig'), 'deeprt-cli');
    return await Promise.race([listed(cluster, of, words), delay(LONGEST_MS, [], { ref: false })]);
  } catch {
    return [];
  } finally {
    await cluster?.close();
  }
}

async function listed(
  cluster: Cluster,
  of: Exclude<Known, 'reason'>,
  words: readonly string[],
): Promise<readonly string[]> {
  if (of === 'node') {
    const { items } = await new Objects<ProfileObject>(cluster, PROFILES).list();
    return [...new Set(items.map(({ spec }) => spec.nodeName))];
  }
  const tenants = new Objects(cluster, TENANTS);
  if (of === 'tenants' || words.at(-1)!.includes('/')) return (await tenants.list()).items.map(keyOf);
  const { namespace } = placeOf('', after(words, '-n', '--namespace'), cluster);
  return (await tenants.list({}, namespace)).items.map(({ metadata }) => metadata.name);
}

/** What follows one of the flags, unless that is being typed. */
function after(words: readonly string[], ...flags: string[]): string | undefined {
  const at = words.findIndex((word) => flags.includes(word));
  return at < 0 || at + 2 >= words.length ? undefined : words[at + 1];
}
