import type { AppState, MachineFigures, StartStep } from '../contract/state.ts';

export const STEP_WORDS: Record<StartStep, string> = {
  image: 'checking the VM image',
  disk: 'preparing the disk',
  keys: 'preparing the keys',
  qemu: 'starting QEMU',
  kernel: 'booting Linux',
  ssh: 'waiting for the guest to listen',
  engine: 'waiting for the engine',
};

export function milliseconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(2)} s`;
}

/** What a user pastes into a terminal. */
export function terminalLines(dockerHost: string): string {
  return [
    '',
    'In another terminal:',
    `  export DOCKER_HOST=${dockerHost}`,
    'or, once and for all terminals:',
    `  docker context create skiff --docker host=${dockerHost} && docker context use skiff`,
    '',
  ].join('\n');
}

/** Three lines: machine, tunnel, engine. */
export function stateLines({ machine, tunnel, engine }: AppState): string[] {
  const machineWords = {
    stopped: () => 'stopped',
    starting: () => machine.kind === 'starting' && `starting: ${STEP_WORDS[machine.step]}`,
    running: () => 'running',
    degraded: () => machine.kind === 'degraded' && `running, but ${machine.reason}`,
    stopping: () => 'stopping',
    failed: () =>
      machine.kind === 'failed' && `failed: ${machine.reason}${machine.hint ? `\n          ${machine.hint}` : ''}`,
  }[machine.kind]();
  const tunnelWords =
    tunnel.kind === 'dialling'
      ? `connecting (attempt ${tunnel.attempt}${tunnel.reason ? `: ${tunnel.reason}` : ''})`
      : tunnel.kind === 'blocked'
        ? `blocked: ${tunnel.reason}`
        : tunnel.kind;
  const engineWords =
    engine.kind === 'ready'
      ? `ready, ${engine.version} (API ${engine.apiVersion})`
      : engine.kind === 'off'
        ? 'off'
        : 'waiting';
  return [`machine   ${machineWords}`, `tunnel    ${tunnelWords}`, `engine    ${engineWords}`];
}

/** What the machine uses, of its own and of this computer's. */
export function figureLines(figures: MachineFigures): string[] {
  const { guestUsedBytes, guestMemoryBytes, hostRssBytes, diskRealBytes, diskVirtualBytes } = figures;
  const used = guestUsedBytes === undefined ? '' : `${bytes(guestUsedBytes)} used in the machine, `;
  return [
    `memory    ${used}${bytes(hostRssBytes)} on this computer, ${bytes(guestMemoryBytes)} at most`,
    `disk      ${bytes(diskRealBytes)} on this computer, ${bytes(diskVirtualBytes)} at most`,
  ];
}

export function bytes(count: number): string {
  return count < 1e9 ? `${Math.round(count / 1e6)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}

export const HELP = `Usage: skiff COMMAND

  start            start Skiff in the background and boot the machine
  stop             stop the machine and end Skiff
  restart          restart the machine
  status           machine, tunnel and engine; exit code 3 when the engine is not ready
  open             print a link to the window (and open it when there is a display)
  logs [-n LINES]  the machine's console and engine log
  ssh [COMMAND]    a shell in the machine
  env              the line that points docker at Skiff: eval "$(skiff env)"

  config list | get NAME | set NAME VALUE
  context create | use | remove | status       Docker's own context for Skiff
  disk compact | resize GB | move DIR          the data disk
  snapshot create | list | restore | delete    all of the data disk, while the machine is stopped
  reset [--keep-images]                        remove everything, or all but the images
  diagnose                                     write logs and states, without secrets, into a zip file
  update-image                                 use the newest VM image
  completion bash | zsh | fish                 completion for your shell
  version, help

Every command but ssh takes --json. SKIFF_HOME is the folder for everything Skiff keeps; the default is ~/.skiff.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not running.`;
