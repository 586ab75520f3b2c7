import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';

import { messageOf } from '../errors.ts';

/** daemon.json's keys about TLS (dockerd's). */
export interface TlsSettings {
  readonly tls?: boolean;
  readonly tlsverify?: boolean;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
}

const DIRECTORY = '/etc/docker';

export const wantsTls = (settings: TlsSettings): boolean => settings.tls === true || settings.tlsverify === true;

/** Certificate and key of the server, and with tlsverify the authority that clients must come from. Throws with the file's name. */
export function serverTls(settings: TlsSettings): TlsOptions {
  const read = (what: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new Error(`could not read the ${what} for TLS: ${messageOf(error)}`);
    }
  };
  const verify = settings.tlsverify === true;
  return {
    cert: read('certificate', settings.tlscert ?? `${DIRECTORY}/cert.pem`),
    key: read('key', settings.tlskey ?? `${DIRECTORY}/key.pem`),
    minVersion: 'TLSv1.2',
    ...(verify
      ? {
          ca: read('certificate authority', settings.tlscacert ?? `${DIRECTORY}/ca.pem`),
          requestCert: true,
          rejectUnauthorized: true,
        }
      : {}),
  };
}
