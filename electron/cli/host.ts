/**
 * The app without Electron, as a process of its own: `node host.ts [--web] [--background]`. Ends on SIGINT and SIGTERM, on
 * `app.quit`, and stops the machine then.
 */
import { parseArgs } from 'node:util';
import { openMachine } from '../machine/machine.ts';
import { createClient } from '../rpc/client.ts';
import { openHost } from '../services/host.ts';
import { appVersion } from '../services/locations.ts';
import { machineResources } from '../services/settings.ts';
import { bootImage } from '../services/vm-image.ts';
import { dockerHost, engineSocketPath, skiffHome } from '../tunnel/socket-path.ts';
import { webShell } from '../web/shell.ts';
import { openInBrowser } from './browser.ts';
import { startMachine } from './start-machine.ts';
import { terminalLines } from './words.ts';

const { values } = parseArgs({ options: { web: { type: 'boolean' }, background: { type: 'boolean' } } });
const home = skiffHome();
const say = (line: string) => console.log(line);

const web = webShell();
const host = await openHost({
  home,
  version: appVersion(),
  log: say,
  machine: async (settings) =>
    openMachine({
      home,
      image: await bootImage(say),
      ...machineResources(settings),
    }),
  image: () => bootImage(say),
  openWeb: web.openWeb,
  onQuit: () => void end(),
});

let ending: Promise<void> | undefined;
function end(): Promise<void> {
  ending ??= (async () => {
    if (!values.background) say('Stopping the machine …');
    await web.close();
    await host.close();
    process.exit(0);
  })();
  return ending;
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end());
if (values.background) process.send?.('listening', () => process.disconnect());

if (!values.background) {
  const client = createClient(await host.connect());
  if (!host.app) say('Skiff is already running for this folder.');
  if (values.web) {
    const { url } = await client.app.openWeb();
    say(`\nThe window: ${url}`);
    if (openInBrowser(url)) say('(opened in a browser window)');
  }
  say(terminalLines(dockerHost(engineSocketPath(home))));
  try {
    await startMachine(client, engineSocketPath(home), say);
    if (host.app) say('\nReady. Ctrl-C stops the machine and ends Skiff.');
  } catch (error) {
    // The socket and the window stay: both say what is wrong and can try again.
    if (!ending) say(`The machine did not start: ${(error as Error).message}`);
  }
  if (!host.app) process.exit(0);
}
