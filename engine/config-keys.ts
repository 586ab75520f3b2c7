import { isIP, isIPv4 } from 'node:net';

/** What may stand behind a key of daemon.json. */
export interface KeyRule {
  /** For the error: "a list of strings". */
  readonly expected: string;
  accepts(value: unknown): boolean;
  /** All that it accepts, when that is a short list. */
  readonly values?: readonly unknown[];
  /** Taken over by a reload (SIGHUP); anything else needs a restart. The list is Docker's. */
  readonly live?: true;
}

type Accepts = (value: unknown) => boolean;

const isString: Accepts = (value) => typeof value === 'string';
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf =
  (accepts: Accepts): Accepts =>
  (value) =>
    Array.isArray(value) && value.every(accepts);
const recordOf =
  (accepts: Accepts): Accepts =>
  (value) =>
    isObject(value) && Object.values(value).every(accepts);
const only =
  (keys: readonly string[], accepts: Accepts): Accepts =>
  (value) =>
    isObject(value) && Object.keys(value).every((key) => keys.includes(key)) && Object.values(value).every(accepts);

const rule = (expected: string, accepts: Accepts): KeyRule => ({ expected, accepts });
const live = (base: KeyRule): KeyRule => ({ ...base, live: true });

const text = rule('a string', isString);
const bool: KeyRule = { ...rule('true or false', (value) => typeof value === 'boolean'), values: [true, false] };
const texts = rule('a list of strings', listOf(isString));
const count = rule('a whole number from 0', (value) => Number.isSafeInteger(value) && Number(value) >= 0);
const path = rule('an absolute path', (value) => isString(value) && String(value).startsWith('/'));
const oneOf = (...words: readonly string[]): KeyRule => ({
  ...rule(`one of ${words.map((word) => JSON.stringify(word)).join(', ')}`, (value) => words.includes(String(value))),
  values: words,
});
const address = rule('an IP address', (value) => isString(value) && isIP(String(value)) !== 0);
const addresses = rule('a list of IP addresses', listOf(address.accepts));
const isCidr: Accepts = (value) => {
  const [ip = '', prefix = '', ...rest] = String(value).split('/');
  return (
    isString(value) &&
    rest.length === 0 &&
    isIP(ip) !== 0 &&
    /^\d+$/.test(prefix) &&
    Number(prefix) <= (isIPv4(ip) ? 32 : 128)
  );
};
const cidr = rule('an address with prefix length, such as "10.1.0.1/16"', isCidr);

const SIZE = /^\d+(\.\d+)?\s*[kmgt]?i?b?$/i;
const size = rule(
  'a size, such as "64M"',
  (value) => count.accepts(value) || (isString(value) && SIZE.test(String(value))),
);

const isUlimit: Accepts = (value) => {
  if (!isObject(value)) return false;
  const { Name, Hard, Soft } = value;
  return isString(Name) && Number.isSafeInteger(Hard) && Number.isSafeInteger(Soft);
};
const isRuntime: Accepts = (value) =>
  isObject(value) && Object.keys(value).every((key) => key === 'path') && path.accepts(value.path);
const isPool: Accepts = (value) => isObject(value) && isCidr(value.base) && count.accepts(value.size);
const isCollection: Accepts = (value) =>
  isObject(value) &&
  Object.entries(value).every(([key, entry]) =>
    key === 'enabled'
      ? bool.accepts(entry)
      : ['defaultKeepStorage', 'maxUsedSpace'].includes(key) && size.accepts(entry),
  );

/** Every key that the engine takes, by dockerd's names (https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file). */
export const KEYS: Readonly<Record<string, KeyRule>> = {
  'allow-insecure-tcp': bool,
  'authorization-plugins': live(texts),
  bip: cidr,
  bip6: cidr,
  builder: rule('an object {"gc": {"enabled": …, "defaultKeepStorage": "20GB"}}', only(['gc'], isCollection)),
  'cgroup-parent': path,
  debug: live(bool),
  'default-address-pools': rule('a list of {"base": "10.10.0.0/16", "size": 24}', listOf(isPool)),
  'default-cgroupns-mode': oneOf('private', 'host'),
  'default-gateway': address,
  'default-gateway-v6': address,
  'default-ipc-mode': oneOf('private', 'shareable'),
  'default-network-opts': rule(
    'an object {"bridge": {"com.docker.network.driver.mtu": "1400"}}',
    recordOf(recordOf(isString)),
  ),
  'default-runtime': live(text),
  'default-shm-size': size,
  'default-ulimits': rule('an object {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}', recordOf(isUlimit)),
  dns: addresses,
  'dns-opts': texts,
  'dns-search': texts,
  experimental: bool,
  'fixed-cidr': cidr,
  'fixed-cidr-v6': cidr,
  'host-gateway-ip': address,
  hosts: texts,
  icc: bool,
  init: bool,
  'init-path': path,
  'insecure-registries': live(texts),
  ip: address,
  'ip-masq': bool,
  ipv6: bool,
  labels: live(
    rule(
      'a list of "key=value"',
      listOf((value) => isString(value) && String(value).includes('=')),
    ),
  ),
  'live-restore': live(bool),
  'log-driver': text,
  'log-level': live(oneOf('debug', 'info', 'warn', 'error', 'fatal')),
  'log-opts': rule('an object of strings', recordOf(isString)),
  'max-concurrent-downloads': live(count),
  'max-concurrent-uploads': live(count),
  'max-download-attempts': live(count),
  'metrics-addr': text,
  mtu: count,
  'no-new-privileges': bool,
  proxies: rule(
    'an object with "http-proxy", "https-proxy", "no-proxy"',
    only(['http-proxy', 'https-proxy', 'no-proxy'], isString),
  ),
  'registry-mirrors': live(texts),
  runtimes: live(rule('an object {"name": {"path": "/usr/bin/name"}}', recordOf(isRuntime))),
  'seccomp-profile': text,
  'shutdown-timeout': live(count),
  tls: bool,
  tlscacert: path,
  tlscert: path,
  tlskey: path,
  tlsverify: bool,
};

/** Keys of which only the value that says what is so anyway is taken; with any other the engine would not do what it says. */
const FIXED: Readonly<Record<string, readonly [value: unknown, reason: string]>> = {
  'exec-opts': [['native.cgroupdriver=cgroupfs'], 'there is no systemd beside this engine, so cgroups are its own'],
  'ip-forward': [true, 'containers have no network without it'],
  ip6tables: [true, 'the engine writes its own nftables tables'],
  iptables: [true, 'the engine writes its own nftables tables'],
  'selinux-enabled': [false, 'the kernel of the machine has no SELinux'],
  'storage-driver': ['overlay2', 'layers are kept for overlayfs only'],
  'userland-proxy': [false, 'the kernel forwards published ports, no proxy process does'],
};

/** Keys of dockerd's that this engine can't follow, and why. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  'api-cors-header': 'a page in a browser must never reach the API',
  bridge: 'the default bridge is docker0',
  containerd: 'the engine does containerd’s work itself',
  'data-root': 'it is given on the command line',
  'exec-root': 'it is given on the command line',
  group: 'the socket belongs to the user who started the engine',
  pidfile: 'whoever starts the engine knows its process',
  'storage-opts': 'layers are kept for overlayfs without options',
  'userns-remap': 'user namespaces are not remapped',
};

/** The keys for whoever edits the file, those with one possible value included. */
export function describeKeys(): { key: string; expected: string; live: boolean; values: unknown[] }[] {
  const fixed = Object.entries(FIXED).map(([key, [value, reason]]) => {
    return { key, expected: `only ${JSON.stringify(value)}: ${reason}`, live: true, values: [value] };
  });
  const free = Object.entries(KEYS).map(([key, { expected, live, values }]) => {
    return { key, expected, live: live === true, values: [...(values ?? [])] };
  });
  return [...free, ...fixed].sort((a, b) => a.key.localeCompare(b.key));
}

/** What is wrong with one key's value, in words for whoever edits the file; undefined: nothing. */
export function problemOf(key: string, value: unknown): string | undefined {
  const fixed = FIXED[key];
  if (fixed) {
    if (JSON.stringify(value) === JSON.stringify(fixed[0])) return undefined;
    return `${key}: can only be ${JSON.stringify(fixed[0])}: ${fixed[1]}`;
  }
  const reason = UNSUPPORTED[key];
  if (reason) return `${key}: not supported by this engine: ${reason}`;
  const known = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
  if (!known) return `${key}: the engine has no such key`;
  return known.accepts(value) ? undefined : `${key}: expected ${known.expected}, not ${JSON.stringify(value)}`;
}
