// Stands for skiffd in tests of the machine alone: answers /_ping on the socket and says when it does.
import { execSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname } from 'node:path';

const option = (name) => process.argv[process.argv.indexOf(name) + 1];
// A test wants to see the kernel die once.
if (existsSync('/var/lib/skiff/die')) {
  rmSync('/var/lib/skiff/die');
  execSync('sync; echo c >/proc/sysrq-trigger');
}
const socket = option('-H').replace('unix://', '');
mkdirSync(dirname(socket), { recursive: true });
rmSync(socket, { force: true });
const boots = `${option('--data-root')}/boots`;
let count = 0;
try {
  count = Number(readFileSync(boots, 'utf8'));
} catch {}
writeFileSync(boots, `${count + 1}`);

createServer((request, response) => response.end(request.url === '/boots' ? `${count + 1}` : 'OK')).listen(socket, () =>
  appendFileSync(option('--notify'), 'ready\n'),
);
process.on('SIGTERM', () => process.exit(0));
