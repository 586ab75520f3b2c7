import type { EngineAddress, EngineEntry, EngineWish } from '../../electron/contract/engines.ts';

/** What the form holds: the fields of every kind, so that changing the kind loses nothing. */
export interface EngineForm {
  name: string;
  kind: EngineAddress['kind'];
  path: string;
  host: string;
  /** empty: the kind's usual one */
  port: string;
  ca: string;
  cert: string;
  key: string;
  user: string;
  identity: string;
  hostKey: string;
}

export const USUAL_PORTS = { unix: '', tcp: '2375', tls: '2376', ssh: '22' } as const;

export function emptyForm(): EngineForm {
  return {
    name: '',
    kind: 'ssh',
    path: '',
    host: '',
    port: '',
    ca: '',
    cert: '',
    key: '',
    user: '',
    identity: '',
    hostKey: '',
  };
}

export function formOf({ name, address }: Pick<EngineEntry, 'name' | 'address'>): EngineForm {
  const form = { ...emptyForm(), name };
  if (!address) return form;
  const port = 'port' in address ? String(address.port) : '';
  if (address.kind === 'ssh') return { ...form, ...address, port, key: '', identity: address.key };
  return { ...form, ...address, port };
}

/** The app checks it. */
export function wishOf(form: EngineForm): EngineWish {
  const { kind, host, ca, cert, key, user, hostKey } = form;
  const port = Number(form.port || USUAL_PORTS[kind]);
  const name = form.name.trim();
  switch (kind) {
    case 'unix':
      return { name, address: { kind, path: form.path } };
    case 'tcp':
      return { name, address: { kind, host, port } };
    case 'tls':
      return { name, address: { kind, host, port, ca, cert, key } };
    case 'ssh':
      return { name, address: { kind, host, port, user, key: form.identity, hostKey } };
  }
}
