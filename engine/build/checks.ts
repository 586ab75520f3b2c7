import { invalidParameter } from '../errors.ts';
import type { Instruction, InstructionOf } from './instructions.ts';
import { type Source, splitWords } from './source.ts';

/** What a Dockerfile does that is allowed and better not done: Docker's "build checks". */
export interface Warning {
  readonly rule: string;
  readonly text: string;
  readonly line: number;
}

interface CheckOptions {
  readonly skip: 'all' | readonly string[];
  /** Warnings fail the build. */
  readonly error: boolean;
}

/** Names that BuildKit keeps for itself. */
const RESERVED_STAGES = ['context', 'scratch'];

/**
 * The warnings of a Dockerfile, in the order of its lines.
 * @param text `skip=<rules>|all;error=<bool>`: what `# check=` says
 */
export function checkDockerfile(
  source: Source,
  instructions: readonly Instruction[],
  text: string,
): { readonly warnings: readonly Warning[]; readonly error: boolean } {
  const { skip, error } = parseOptions(text);
  if (skip === 'all') return { warnings: [], error: false };
  const found = [...casing(source), ...stageNames(source, instructions), ...commands(source, instructions)];
  const warnings = found.filter(({ rule }) => !skip.includes(rule)).sort((a, b) => a.line - b.line);
  return { warnings, error: error && warnings.length > 0 };
}

/** As Docker's progress sums them up. */
export function showWarnings(warnings: readonly Warning[]): string {
  const lines = warnings.map(({ rule, text, line }) => ` - ${rule}: ${text} (line ${line})\n`);
  return ` ${lines.length} ${lines.length === 1 ? 'warning' : 'warnings'} found:\n${lines.join('')}`;
}

export const violation = (warnings: readonly Warning[]) =>
  invalidParameter(
    `lint violation found for rules: ${[...new Set(warnings.map(({ rule }) => rule))].sort().join(', ')}`,
  );

function parseOptions(text: string): CheckOptions {
  let skip: CheckOptions['skip'] = [];
  let error = false;
  for (const part of text.trim() === '' ? [] : text.split(';')) {
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/.exec(part)?.map((word) => word.trim()) ?? [];
    if (name === 'skip') skip = value === 'all' ? value : value.split(',').map((rule) => rule.trim());
    else if (name !== 'error') throw invalidParameter(`invalid check option ${JSON.stringify(name || part)}`);
    else if (/^(1|t|true)$/i.test(value)) error = true;
    else if (/^(0|f|false)$/i.test(value)) error = false;
    else {
      const why = `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`;
      throw invalidParameter(`failed to parse check option ${JSON.stringify(part)}: ${why}`);
    }
  }
  return { skip, error };
}

const isLower = (word: string): boolean => word === word.toLowerCase();
const isUpper = (word: string): boolean => word === word.toUpperCase();

function casing({ statements }: Source): Warning[] {
  const lower = statements.filter(({ word }) => isLower(word)).length;
  const upper = statements.filter(({ word }) => isUpper(word)).length;
  const [fits, name] = lower > upper ? [isLower, 'lowercase'] : [isUpper, 'uppercase'];
  return statements
    .filter(({ word }) => !fits(word))
    .map(({ word, line }) => ({
      rule: 'ConsistentInstructionCasing',
      text: `Command '${word}' should match the case of the command majority (${name})`,
      line,
    }));
}

function stageNames({ escapeChar }: Source, instructions: readonly Instruction[]): Warning[] {
  const warnings: Warning[] = [];
  const seen = new Set<string>();
  for (const { kind, statement } of instructions) {
    const [, as, name] = kind === 'from' ? splitWords(statement.rest, escapeChar) : [];
    if (as === undefined || name === undefined) continue;
    const warn = (rule: string, text: string) => void warnings.push({ rule, text, line: statement.line });
    const stage = name.toLowerCase();
    if (name !== stage) warn('StageNameCasing', `Stage name '${name}' should be lowercase`);
    if (isLower(as) !== isLower(statement.word) || isUpper(as) !== isUpper(statement.word)) {
      warn('FromAsCasing', `'${as}' and '${statement.word}' keywords' casing do not match`);
    }
    if (RESERVED_STAGES.includes(stage)) {
      warn('ReservedStageName', `Stage name should not use the same name as reserved stage "${stage}"`);
    }
    if (seen.has(stage)) warn('DuplicateStageName', `Duplicate stage name "${stage}", stage names should be unique`);
    seen.add(stage);
  }
  return warnings;
}

/** What single instructions, or several of a kind in one stage, are warned for. */
function commands({ escapeChar }: Source, instructions: readonly Instruction[]): Warning[] {
  const warnings: Warning[] = [];
  let last = new Map<string, InstructionOf<'cmd' | 'entrypoint' | 'healthcheck'>>();
  let ownShell = false;
  for (const instruction of instructions) {
    const { kind, statement } = instruction;
    const { keyword } = statement;
    const warn = (rule: string, text: string, line = statement.line) => void warnings.push({ rule, text, line });
    if (kind === 'from') {
      last = new Map();
      ownShell = false;
    } else if (kind === 'shell') ownShell = true;
    else if (kind === 'maintainer') {
      warn('MaintainerDeprecated', 'Maintainer instruction is deprecated in favor of using label');
    } else if ((kind === 'env' || kind === 'label') && !splitWords(statement.rest, escapeChar)[0]?.includes('=')) {
      const text = `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`;
      warn('LegacyKeyValueFormat', text);
    } else if (kind === 'cmd' || kind === 'entrypoint' || kind === 'healthcheck') {
      const before = last.get(kind);
      if (before) {
        const why = 'should not be used in the same stage because only the last one will be used';
        warn('MultipleInstructionsDisallowed', `Multiple ${keyword} instructions ${why}`, before.statement.line);
      }
      last.set(kind, instruction);
      if (kind !== 'healthcheck' && instruction.command.form === 'shell' && !ownShell) {
        const why = 'to prevent unintended behavior related to OS signals';
        warn('JSONArgsRecommended', `JSON arguments recommended for ${keyword} ${why}`);
      }
    }
  }
  return warnings;
}
