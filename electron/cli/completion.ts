/** `skiff completion bash|zsh|fish`: a script for the shell's own completion. */
import { DEFAULTS } from '../services/settings.ts';
import { type Command, DONE, positional, UsageError } from './command.ts';

/** What may follow what. */
const WORDS: Record<string, readonly string[]> = {
  '': [
    ...['start', 'stop', 'restart', 'status', 'open', 'logs', 'ssh', 'env', 'config', 'context', 'disk', 'snapshot'],
    ...['reset', 'diagnose', 'update-image', 'completion', 'version', 'help'],
  ],
  config: ['list', 'get', 'set'],
  context: ['create', 'use', 'remove', 'status'],
  disk: ['compact', 'resize', 'move'],
  snapshot: ['create', 'list', 'restore', 'delete'],
  reset: ['--keep-images'],
  logs: ['-n'],
  completion: ['bash', 'zsh', 'fish'],
};
const SETTINGS = Object.keys(DEFAULTS);
const groups = Object.entries(WORDS).filter(([name]) => name !== '');

const scripts: Record<string, () => string> = {
  bash: () => `_skiff() {
  local current=\${COMP_WORDS[COMP_CWORD]} words=
  if [ "$COMP_CWORD" = 1 ]; then words='${WORDS['']?.join(' ')}'
  elif [ "$COMP_CWORD" = 2 ]; then
    case \${COMP_WORDS[1]} in
${groups.map(([name, words]) => `    ${name}) words='${words.join(' ')} --json' ;;`).join('\n')}
    *) words=--json ;;
    esac
  elif [ "\${COMP_WORDS[1]}" = config ] && [ "$COMP_CWORD" = 3 ]; then words='${SETTINGS.join(' ')}'
  elif [ "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" = 'disk move' ]; then COMPREPLY=($(compgen -d -- "$current")); return
  else words=--json
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _skiff skiff`,
  zsh: () => `#compdef skiff
_skiff() {
  if (( CURRENT == 2 )); then compadd -- ${WORDS['']?.join(' ')}
  elif (( CURRENT == 3 )); then
    case $words[2] in
${groups.map(([name, words]) => `    ${name}) compadd -- ${words.join(' ')} --json ;;`).join('\n')}
    *) compadd -- --json ;;
    esac
  elif [[ $words[2] == config && CURRENT -eq 4 ]]; then compadd -- ${SETTINGS.join(' ')}
  elif [[ "$words[2] $words[3]" == 'disk move' ]]; then _files -/
  else compadd -- --json
  fi
}
compdef _skiff skiff`,
  fish: () =>
    [
      'complete -c skiff -f',
      `complete -c skiff -n __fish_use_subcommand -a '${WORDS['']?.join(' ')}'`,
      'complete -c skiff -n "not __fish_use_subcommand" -l json',
      ...groups.map(
        ([name, words]) =>
          `complete -c skiff -n "__fish_seen_subcommand_from ${name}; and test (count (commandline -opc)) -eq 2" -a '${words.join(' ')}'`,
      ),
      `complete -c skiff -n "__fish_seen_subcommand_from config; and __fish_seen_subcommand_from get set" -a '${SETTINGS.join(' ')}'`,
      'complete -c skiff -n "__fish_seen_subcommand_from disk; and __fish_seen_subcommand_from move" -a "(__fish_complete_directories)"',
    ].join('\n'),
};

export const completion: Command = ({ args, answer }) => {
  const [shell = ''] = positional(args, 'shell');
  if (!Object.hasOwn(scripts, shell)) throw new UsageError(`say one of: ${Object.keys(scripts).join(', ')}`);
  const script = scripts[shell]!();
  answer({ shell, script }, script);
  return DONE;
};
