import { setTimeout as sleep } from 'node:timers/promises';
import type { Implementation } from '../../contract/contract.ts';
import type { EngineState } from '../../contract/state.ts';
import type { Machine } from '../../machine/types.ts';
import type { Tunnel } from '../../tunnel/types.ts';
import { ServiceError } from '../errors.ts';
import { text as asText } from '../inputs.ts';
import { checkConfig, configKeys } from './config-file.ts';
import { certificatesIn, hostNetwork } from './host-network.ts';

/** With containers that take their time to stop, and a store that is looked through at the start. */
const RESTART_MS = 120_000;
const LONGEST = 256 * 1024;

interface DaemonParts {
  machine: Pick<Machine, 'state' | 'endpoint'>;
  tunnel: Pick<Tunnel, 'run'>;
  engineState: () => EngineState;
}

type Verb = 'read' | 'refused' | 'check' | 'write' | 'reload' | 'restart' | 'ca' | 'ca-write';

/** daemon.json and further certificates: both lie in the machine, where a small program reads and writes them for us. */
export function daemonServices({ machine, tunnel, engineState }: DaemonParts): Implementation['daemon'] {
  async function ask(verb: Verb, input = ''): Promise<string> {
    const { kind } = machine.state;
    if (kind !== 'running' && kind !== 'degraded')
      throw new ServiceError('unavailable', 'The machine is not running.', 'Start it first.');
    const { status, stdout, stderr } = await tunnel.run(`${machine.endpoint().configCommand} ${verb}`, input);
    if (status === 0) return stdout;
    throw new ServiceError(verb === 'write' || verb === 'check' ? 'invalid' : 'failed', lastWords(stderr));
  }

  /** The engine is ready again, and not the one of before. */
  async function restarted(since: number): Promise<void> {
    for (const end = Date.now() + RESTART_MS; Date.now() < end; await sleep(100)) {
      const now = engineState();
      if (now.kind === 'ready' && now.since > since) return;
    }
    throw new ServiceError('failed', 'The engine has not come back within two minutes.', 'Look at its log.');
  }

  async function restart(): Promise<void> {
    const since = Date.now();
    await ask('restart');
    await restarted(since);
  }

  return {
    keys: async () => configKeys(),
    read: async () => {
      const [text, refused, authorities] = await Promise.all([ask('read'), ask('refused'), ask('ca')]);
      return { text, refused, authorities };
    },
    check: async (text) => checkConfig(asText(text, LONGEST), await ask('read')),
    save: async (text) => {
      const wanted = asText(text, LONGEST).trim() || '{}';
      const { problems, changes } = checkConfig(wanted, await ask('read'));
      if (problems.length > 0) throw new ServiceError('invalid', problems.map(({ message }) => message).join('; '));
      await ask('write', `${wanted}\n`);
      if (changes.every(({ effect }) => effect === 'live')) {
        if (changes.length > 0) await ask('reload');
        return;
      }
      await restart();
      if (await ask('refused')) {
        throw new ServiceError(
          'conflict',
          'The engine did not start with this configuration. The last one that worked was put back.',
          'Its log says what was wrong.',
        );
      }
    },
    setAuthorities: async (pem) => {
      const wanted = asText(pem, 4 * LONGEST);
      if (wanted.trim() && certificatesIn(wanted).length === 0)
        throw new ServiceError('invalid', 'There is no certificate (PEM) in this text.');
      if (wanted.trim() === (await ask('ca')).trim()) return;
      await ask('ca-write', wanted.trim() ? `${wanted.trim()}\n` : '');
      await restart();
    },
    hostNetwork: async () => hostNetwork(),
  };
}

/** The engine's log line without its frame, else what was said last. */
function lastWords(stderr: string): string {
  const line = stderr.trim().split('\n').at(-1) ?? '';
  return /error="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]?.replaceAll('\\"', '"') ?? (line || 'It did not work.');
}
