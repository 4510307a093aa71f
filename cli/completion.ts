import type { Argument, Command, Option } from 'commander';

/** The command that shells ask. */
export const COMPLETE = '__complete';

/** Whose names the cluster, or this program, knows. */
export type Known = 'tenant' | 'node' | 'reason';

/** What may stand at the end of a line, and whether a path may. */
export interface Completion {
  readonly candidates: readonly { readonly text: string; readonly description?: string }[];
  readonly files: boolean;
}

const NOTHING: Completion = { candidates: [], files: false };
/** How arguments and options call their values that are names of something. */
const KNOWN: Readonly<Record<string, Known>> = { tenant: 'tenant', tenants: 'tenant', node: 'node', reason: 'reason' };
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
  const typed = words.at(-1) ?? '';
  const before = words.slice(1, -1);
  const starting = ({ candidates, files }: Completion): Completion => ({
    candidates: candidates.filter(({ text }) => text.startsWith(typed)),
    files,
  });
  const told = (texts: readonly string[]): Completion =>
    starting({ candidates: texts.map((text) => ({ text })), files: false });
  const valueOf = async (what: string): Promise<Completion> => {
    if (PATHS.has(what)) return { candidates: [], files: true };
    const known = KNOWN[what];
    return known === undefined ? NOTHING : told(await names(known));
  };
  if (words.length <= 1)
    return starting({
      candidates: visible(program).map((each) => ({ text: each.name(), description: each.description() })),
      files: false,
    });
  const command = visible(program).find((each) => each.name() === words[0]);
  if (command === undefined) return NOTHING;
  const asked = optionOf(command, before.at(-1));
  if (asked !== undefined) return asked.argChoices === undefined ? valueOf(valueName(asked)) : told(asked.argChoices);
  if (typed.startsWith('-'))
    return starting({
      candidates: command.options
        .filter(({ hidden, long }) => !hidden && long !== undefined)
        .map(({ long, description }) => ({ text: long!, description })),
      files: false,
    });
  const argument = argumentAt(command, before);
  return argument === undefined ? NOTHING : valueOf(argument.name());
}

const visible = (program: Command): readonly Command[] => program.createHelp().visibleCommands(program);

/** The option that a word is, where a value has to follow it. */
const optionOf = (command: Command, word: string | undefined): Option | undefined =>
  command.options.find(({ short, long, required }) => required && word !== undefined && [short, long].includes(word));

/** `file` of `--kubeconfig <file>`. */
const valueName = ({ flags }: Option): string => /<([^.>]+)/.exec(flags)?.[1] ?? '';

/** Which argument of the command comes next. */
function argumentAt(command: Command, before: readonly string[]): Argument | undefined {
  const given = before.filter(
    (word, i) => !word.startsWith('-') && (i === 0 || optionOf(command, before[i - 1]) === undefined),
  );
  return command.registeredArguments[given.length];
}
