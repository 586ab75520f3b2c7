import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openMachine } from '../../electron/machine/machine.ts';
import { openTunnel } from '../../electron/tunnel/tunnel.ts';
import { ensureVmImage } from '../../resources/vm/image.ts';
import { tunnelConformance } from '../tunnel/conformance.ts';
import { canBoot, testOptions } from './support.ts';

/** Runs guest-server.mjs where skiffd would run: the tunnel is tested here, not the engine. */
const IN_THE_ENGINES_PLACE = `
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
const option = (name) => process.argv[process.argv.indexOf(name) + 1];
const socket = option('-H').replace('unix://', '');
mkdirSync(dirname(socket), { recursive: true });
const server = spawn(process.execPath, [join(import.meta.dirname, 'guest-server.mjs'), socket], { stdio: ['pipe', 'pipe', 'inherit'] });
server.stdout.once('data', () => appendFileSync(option('--notify'), 'ready\\n'));
server.on('exit', (code) => process.exit(code ?? 1));
process.on('SIGTERM', () => server.kill());
`;

tunnelConformance({
  name: 'a plain HTTP server in the real VM',
  skip: canBoot ? undefined : 'QEMU is not installed',
  // Emulated, every byte costs many times what it costs natively.
  patience: 8,
  open: async () => {
    const home = mkdtempSync(join(tmpdir(), 'skiff-conformance-'));
    const engineDir = join(home, 'engine');
    cpSync(join(import.meta.dirname, '../tunnel/guest-server.mjs'), join(engineDir, 'guest-server.mjs'));
    writeFileSync(join(engineDir, 'skiffd.mjs'), IN_THE_ENGINES_PLACE);
    const image = await ensureVmImage({ engineDir });
    const machine = openMachine({ ...testOptions(home), image });
    await machine.start();
    const tunnel = await openTunnel({ machine, socketPath: join(home, 'docker.sock') });
    return {
      tunnel,
      close: async () => {
        await tunnel.close();
        await machine.stop();
        rmSync(home, { recursive: true, force: true });
      },
    };
  },
});
