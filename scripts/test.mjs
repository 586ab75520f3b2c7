/**
 * `npm test [-- vitest arguments]`: sets the machine up, builds what the tests run, runs them all, and ends with the line
 * `N passed, N failed, N skipped`. Plain JavaScript for Node 20.19 and later; the tests themselves run on the pinned Node.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { setup } from './setup.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
/** In this order, each alone: none measures or waits while another keeps the processors busy. */
const PROJECTS = ['unit', 'images', 'engine', 'build', 'api', 'network', 'volumes', 'tunnel', 'window', 'machine'];

try {
  await setup({ nodeModules: true, qemu: true, imageTools: true, testTools: true });
} catch (error) {
  console.error(error.name === 'SetupError' ? error.message : error);
  process.exit(1);
}

const bin = join(root, 'node_modules', '.bin');
const node = existsSync(join(bin, 'node')) ? join(bin, 'node') : process.execPath;
const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
const run = (args) => spawnSync(node, args, { stdio: 'inherit', cwd: root, env }).status ?? 1;

const scratch = mkdtempSync(join(tmpdir(), 'skiff-test-'));
const total = { passed: 0, failed: 0, skipped: 0 };
const wanted = process.argv.slice(2);
const chosen = PROJECTS.filter((name) => wanted.includes(name));
const rest = wanted.filter((argument) => !PROJECTS.includes(argument));

const built = run(['scripts/start.mjs', '--prepared', '--prepare']) === 0;
if (!built) {
  console.error('the build failed: no test was run');
  total.failed++;
}
for (const name of built ? (chosen.length > 0 ? chosen : PROJECTS) : []) {
  const report = join(scratch, `${name}.json`);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const status = run([
    '--disable-warning=ExperimentalWarning',
    vitest,
    'run',
    '--project',
    name,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...rest,
  ]);
  count(report, status);
}
rmSync(scratch, { recursive: true, force: true });
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);

/** Adds one project's report. A run that ended badly without a failed test (a file that can't load) is a failure too. */
function count(report, status) {
  const result = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined;
  total.passed += result?.numPassedTests ?? 0;
  total.skipped += (result?.numPendingTests ?? 0) + (result?.numTodoTests ?? 0);
  const failed = result?.numFailedTests ?? 0;
  total.failed += failed > 0 || status === 0 ? failed : 1;
}
