import { isIPv4 } from 'node:net';

import { forbidden, invalidParameter, notImplemented } from '../../errors.ts';
import { DRIVER_OPTION, FALSE_WORDS, type NetworkRecord, TRUE_WORDS } from './record.ts';

type Options = Readonly<Record<string, string>>;

const failed = (option: string, value: string, reason: string) =>
  invalidParameter(`failed to parse ${option} value: ${value} (${reason})`);

function checkBoolean(options: Options, option: string): void {
  const value = options[option];
  if (value === undefined || value === '' || [...TRUE_WORDS, ...FALSE_WORDS].includes(value)) return;
  throw failed(option, value, `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}

/** What moby has and this engine hasn't: better refused than ignored. */
const UNSUPPORTED = [
  'com.docker.network.bridge.inhibit_ipv4',
  'com.docker.network.bridge.trusted_host_interfaces',
  'com.docker.network.host_ipv4',
  'com.docker.network.host_ipv6',
  'com.docker.network.bridge.host_binding_ipv6',
];

function checkCommon(options: Options): void {
  for (const name of UNSUPPORTED) {
    if (options[name] !== undefined) throw notImplemented(`network option ${name} is not supported by this engine`);
  }
  const mtu = options[DRIVER_OPTION.mtu];
  if (mtu === undefined || mtu === '') return;
  if (!/^-?\d+$/.test(mtu)) {
    throw failed(DRIVER_OPTION.mtu, mtu, `strconv.Atoi: parsing ${JSON.stringify(mtu)}: invalid syntax`);
  }
  if (Number(mtu) < 0) throw failed(DRIVER_OPTION.mtu, mtu, `invalid MTU: ${mtu}`);
}

/** Options of a bridge network in the words of moby's driver. Options it doesn't know it keeps, as moby does. */
export function checkBridgeOptions(options: Options, others: Iterable<NetworkRecord>): void {
  checkCommon(options);
  checkBoolean(options, DRIVER_OPTION.icc);
  checkBoolean(options, DRIVER_OPTION.masquerade);
  checkBoolean(options, DRIVER_OPTION.isDefault);
  const binding = options[DRIVER_OPTION.hostBinding];
  if (binding && !isIPv4(binding)) throw failed(DRIVER_OPTION.hostBinding, binding, 'nil ip');
  for (const option of [DRIVER_OPTION.gatewayMode4, DRIVER_OPTION.gatewayMode6]) {
    const mode = options[option];
    if (mode && mode !== 'nat') throw notImplemented(`${option}=${mode} is not supported by this engine`);
  }
  const prefix = options[DRIVER_OPTION.prefix];
  if (prefix && !/^[^\s/:]{1,12}$/.test(prefix)) throw invalidParameter(`invalid interface prefix: ${prefix}`);
  checkBridgeName(options[DRIVER_OPTION.name], others);
}

function checkBridgeName(name: string | undefined, others: Iterable<NetworkRecord>): void {
  if (name === undefined) return;
  if (!/^[^\s/:]{1,15}$/.test(name) || name === '.' || name === '..') {
    throw invalidParameter(`invalid bridge name: ${JSON.stringify(name)}: an interface's name has 1 to 15 characters`);
  }
  for (const other of others) {
    if (other.options[DRIVER_OPTION.name] === name) {
      throw forbidden(`conflicts with network ${other.id} (${name}): networks have same bridge name`);
    }
  }
}

const MACVLAN_MODES: Record<string, number> = { private: 1, vepa: 2, bridge: 4, passthru: 8 };
const IPVLAN_MODES: Record<string, number> = { l2: 0, l3: 1, l3s: 2 };
const IPVLAN_FLAGS: Record<string, number> = { bridge: 0, private: 1, vepa: 2 };

/** How containers hang on a macvlan or ipvlan network's parent, in the kernel's numbers. Throws in moby's words. */
export function vlanMode(network: Pick<NetworkRecord, 'driver' | 'options'>): { mode: number; flags: number } {
  const { driver, options } = network;
  checkCommon(options);
  const word = driver === 'macvlan' ? options[DRIVER_OPTION.macvlanMode] : options[DRIVER_OPTION.ipvlanMode];
  const mode = driver === 'macvlan' ? MACVLAN_MODES[word || 'bridge'] : IPVLAN_MODES[word || 'l2'];
  if (mode === undefined) {
    throw invalidParameter(
      `requested ${driver} mode '${word}' is not valid, 'bridge' mode is the ${driver} driver default`,
    );
  }
  const flag = options[DRIVER_OPTION.ipvlanFlag] || 'bridge';
  const flags = IPVLAN_FLAGS[flag];
  if (flags === undefined) throw invalidParameter(`requested ipvlan flag '${flag}' is not valid`);
  return { mode, flags };
}
