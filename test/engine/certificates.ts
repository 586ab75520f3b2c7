import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import type { Testbed } from './testbed.ts';

/** Has the engine, with its next start, ask for client certificates. @returns the folder with its and the clients' */
export function configureTls(bed: Testbed): string {
  const folder = join(bed.shared, 'tls');
  makeCertificates(folder);
  const inside = '/run/host/tls';
  bed.configure({
    tlsverify: true,
    tlscacert: `${inside}/ca.pem`,
    tlscert: `${inside}/server.pem`,
    tlskey: `${inside}/server-key.pem`,
  });
  return folder;
}

/** ca, server (127.0.0.1), client, and a stranger whom another authority has signed. */
function makeCertificates(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  for (const ca of ['ca', 'other-ca']) {
    openssl('req', '-x509', ...key, '-keyout', `${ca}-key.pem`, '-out', `${ca}.pem`, '-subj', `/CN=${ca}`);
  }
  for (const [name, ca] of [
    ['server', 'ca'],
    ['client', 'ca'],
    ['stranger', 'other-ca'],
  ] as const) {
    openssl(
      ...['req', '-x509', ...key, '-keyout', `${name}-key.pem`, '-out', `${name}.pem`, '-subj', `/CN=${name}`],
      ...['-CA', `${ca}.pem`, '-CAkey', `${ca}-key.pem`, '-addext', 'subjectAltName=IP:127.0.0.1'],
      ...['-addext', 'basicConstraints=critical,CA:FALSE'],
    );
  }
}
