import type { RuntimeChoice } from '../../runtime/choice.ts';

const DEFAULTS = {
  'allow-nondistributable-artifacts': [],
  debug: false,
  'default-ipc-mode': 'private',
  'default-shm-size': 64 * 1024 * 1024,
  features: {},
  'insecure-registries': [],
  labels: [],
  'live-restore': false,
  'max-concurrent-downloads': 3,
  'max-concurrent-uploads': 5,
  'max-download-attempts': 5,
  'registry-mirrors': [],
  'shutdown-timeout': 15,
};

/** Attributes of `daemon reload`: what dockerd tells of its configuration, and every other key that is set. */
export function reloadAttributes(
  config: object,
  { runtimes, defaultRuntime }: RuntimeChoice,
  cgroupVersion: 1 | 2,
): Record<string, string> {
  const values = {
    ...DEFAULTS,
    'default-cgroupns-mode': cgroupVersion === 2 ? 'private' : 'host',
    ...config,
    'default-runtime': defaultRuntime,
    runtimes: [...runtimes].map(([name, path]) => `${name}:${path}`).join(', '),
  };
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, typeof value === 'string' ? value : goText(value)]),
  );
}

/** As Go prints it: lists as JSON, an empty map as `map[]`. */
const goText = (value: unknown): string => {
  const text = JSON.stringify(value);
  return text === '{}' ? 'map[]' : text;
};
