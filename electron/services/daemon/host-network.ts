import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import type { HostNetwork } from '../../contract/daemon.ts';

/** This computer as the machine's network has it. */
const GATEWAY = '10.0.2.2';

/** What this computer uses: the variables that programs follow, and the certificates that its system trusts besides the public ones. */
export function hostNetwork(env: NodeJS.ProcessEnv = process.env): HostNetwork {
  const variable = (name: string) => env[name] || env[name.toUpperCase()] || '';
  /** What listens on this computer only is the gateway's for the machine. */
  const proxy = (name: string) =>
    variable(name).replace(/^(\w+:\/\/(?:[^@/]*@)?)(?:localhost|127[.][0-9.]+|\[::1\])(?=[:/]|$)/, `$1${GATEWAY}`);
  return {
    httpProxy: proxy('http_proxy'),
    httpsProxy: proxy('https_proxy'),
    noProxy: variable('no_proxy'),
    authorities: furtherAuthorities(),
  };
}

function furtherAuthorities(): HostNetwork['authorities'] {
  const known = new Set(tls.getCACertificates('bundled').flatMap(fingerprints));
  const found = new Map<string, { subject: string; pem: string }>();
  for (const pem of [...tls.getCACertificates('system'), ...tls.getCACertificates('extra')]) {
    for (const certificate of certificatesIn(pem)) {
      if (known.has(certificate.fingerprint256)) continue;
      found.set(certificate.fingerprint256, { subject: nameOf(certificate), pem: certificate.toString().trim() });
    }
  }
  return [...found.values()].sort((a, b) => a.subject.localeCompare(b.subject));
}

const fingerprints = (pem: string) => certificatesIn(pem).map((certificate) => certificate.fingerprint256);

/** One that can't be read is passed over. */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}

function nameOf({ subject }: X509Certificate): string {
  const parts = new Map(subject.split('\n').map((line) => line.split('=', 2) as [string, string]));
  return parts.get('CN') ?? parts.get('OU') ?? parts.get('O') ?? subject.replaceAll('\n', ', ');
}
