import { describe, expect, test } from '@jest/globals';
import { Command, Option } from 'commander';
import { complete } from './completion.js';
import type { Known } from './completion.js';

const program = new Command();
program
  .command('why')
  .description('Says why.')
  .argument('<tenant>')
  .option('-n, --namespace <name>')
  .addOption(new Option('-o, --output <form>').choices(['table', 'json']))
  .option('--kubeconfig <file>')
  .addOption(new Option('--inner').hideHelp());
program.command('what-if').option('--without <tenants...>').option('--drain <node>');
program.command('explain').argument('[reason]');
program.command('inner', { hidden: true });

const NAMES: Record<Known, string[]> = {
  tenant: ['gate', 'garage', 'dock'],
  tenants: ['yard/gate', 'yard/dock'],
  node: ['edge-1'],
  reason: ['NotReady'],
};
const texts = async (...words: string[]): Promise<string[]> =>
  (await complete(program, words, (of) => Promise.resolve(NAMES[of]))).candidates.map(({ text }) => text);

describe('what may come next', () => {
  test.each<[words: string[], texts: string[]]>([
    [[''], ['why', 'what-if', 'explain', 'help']],
    [['wh'], ['why', 'what-if']],
    [['inn'], []],
    [
      ['why', ''],
      ['gate', 'garage', 'dock'],
    ],
    [
      ['why', 'ga'],
      ['gate', 'garage'],
    ],
    [['why', 'gate', ''], []],
    [['why', '-n', 'yard', 'd'], ['dock']],
    [['why', '-n', 'd'], []],
    [
      ['why', 'gate', '-o', ''],
      ['table', 'json'],
    ],
    [['why', 'gate', '--o'], ['--output']],
    [['why', '--in'], []],
    [['what-if', '--drain', ''], ['edge-1']],
    [['what-if', '--without', 'yard/d'], ['yard/dock']],
    [['what-if', '--without', 'yard/dock', 'yard/g'], ['yard/gate']],
    [['what-if', '--drain=e'], ['edge-1']],
    [['why', '--namespace=yard', 'd'], ['dock']],
    [['why', '--output=j'], ['json']],
    [['explain', ''], ['NotReady']],
    [['nothing', ''], []],
  ])('%j', async (words, expected) => {
    expect(await texts(...words)).toEqual(expected);
  });

  test('files where a file is wanted, and nowhere else', async () => {
    const files = async (...words: string[]): Promise<boolean> =>
      (await complete(program, words, () => Promise.resolve([]))).files;
    expect(await files('why', '--kubeconfig', '')).toBe(true);
    expect(await files('why', '')).toBe(false);
  });

  test('commands say what they do', async () => {
    const { candidates } = await complete(program, ['why'], () => Promise.resolve([]));
    expect(candidates).toEqual([{ text: 'why', description: 'Says why.' }]);
  });
});
