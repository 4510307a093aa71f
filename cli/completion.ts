import type { Argument, Command, Option } from 'commander';

/** The command that shells ask. */
export const COMPLETE = '__complete';

/** What there are names of: tenants of a namespace by their names, of all as NAMESPACE/NAME; nodes; reasons. */
export type Known = 'tenant' | 'tenants' | 'node' | 'reason';

/** What may stand at the end of a line, and whether a path may. */
export interface Completion {
  readonly candidates: readonly { readonly text: string; readonly description?: string }[];
  readonly files: boolean;
}

const NOTHING: Completion = { candidates: [], files: false };
/** How arguments and options call their values that are names of something. */
const KNOWN: ReadonlySet<string> = new Set<Known>(['tenant', 'tenants', 'node', 'reason']);
const PATHS = new Set(['file', 'path', 'dir', 'folder']);

/**
 * What may come next.
 *
 * @param words what stands after the program's name; the last one is what is being typed, '' where nothing is yet
 * @param names those that are known now; none where they cannot be had
 */
export async function complete(
  program: Command,
  words: readonly string[],
  names: (of: Known) => Promise<readonly string[]>,
): Promise<Completion> {
  const apart = spelledOut(words);
  const typed = apart.at(-1) ?? '';
  const { candidates, files } = await possible(program, apart[0] ?? '', apart.slice(1), names);
  return { candidates: candidates.filter(({ text }) => text.startsWith(typed)), files };
}

/** `--name=value` as two words; shells put what stands before the value back themselves (spf13/cobra, completions). */
export const spelledOut = (words: readonly string[]): string[] =>
  words.flatMap((word) => /^(--[^=]+)=(.*)$/s.exec(word)?.slice(1) ?? [word]);

/** The same, whatever has been typed of it. */
async function possible(
  program: Command,
  name: string,
  words: readonly string[],
  names: (of: Known) => Promise<readonly string[]>,
): Promise<Completion> {
  if (words.length === 0)
    return choices(visible(program).map((each) => ({ text: each.name(), description: each.description() })));
  const command = visible(program).find((each) => each.name() === name);
  if (command === undefined) return NOTHING;
  const before = words.slice(0, -1);
  const option = awaiting(command, before);
  if (option?.argChoices !== undefined) return choices(option.argChoices.map((text) => ({ text })));
  if (option === undefined && words.at(-1)!.startsWith('-')) {
    const options = command.options.filter(({ hidden, long }) => !hidden && long !== undefined);
    return choices(options.map(({ long, description }) => ({ text: long!, description })));
  }
  const value = option === undefined ? argumentAt(command, before)?.name() : valueName(option);
  if (value === undefined) return NOTHING;
  if (PATHS.has(value)) return { candidates: [], files: true };
  return KNOWN.has(value) ? choices((await names(value as Known)).map((text) => ({ text }))) : NOTHING;
}

const choices = (candidates: Completion['candidates']): Completion => ({ candidates, files: false });

const visible = (program: Command): readonly Command[] => program.createHelp().visibleCommands(program);

/** The option whose value comes next. */
function awaiting(command: Command, before: readonly string[]): Option | undefined {
  const at = before.findLastIndex((word) => word.startsWith('-'));
  const option = command.options.find(
    ({ short, long, required }) => at >= 0 && required && [short, long].includes(before[at]),
  );
  return at === before.length - 1 || option?.variadic === true ? option : undefined;
}

/** `file` of `--kubeconfig <file>`. */
const valueName = ({ flags }: Option): string => /<([^.>]+)/.exec(flags)?.[1] ?? '';

/** Which argument of the command comes next. */
function argumentAt(command: Command, before: readonly string[]): Argument | undefined {
  const given = before.filter(
    (word, i) => !word.startsWith('-') && awaiting(command, before.slice(0, i)) === undefined,
  );
  return command.registeredArguments[given.length];
}
