import { forbidden, invalidParameter } from '../../errors.ts';
import { familyOf, isIp } from '../../network/subnet.ts';
import { DRIVER_OPTION, FALSE_WORDS, GATEWAY_MODES, type NetworkRecord, TRUE_WORDS } from './record.ts';

type Options = Readonly<Record<string, string>>;

const failed = (option: string, value: string, reason: string) =>
  invalidParameter(`failed to parse ${option} value: ${value} (${reason})`);

function checkBoolean(options: Options, option: string): void {
  const value = options[option];
  if (value === undefined || value === '' || [...TRUE_WORDS, ...FALSE_WORDS].includes(value)) return;
  throw failed(option, value, `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}

function checkCommon(options: Options): void {
  const mtu = options[DRIVER_OPTION.mtu];
  if (mtu === undefined || mtu === '') return;
  if (!/^-?\d+$/.test(mtu)) {
    throw failed(DRIVER_OPTION.mtu, mtu, `strconv.Atoi: parsing ${JSON.stringify(mtu)}: invalid syntax`);
  }
  if (Number(mtu) < 0) throw failed(DRIVER_OPTION.mtu, mtu, `invalid MTU: ${mtu}`);
}

/** Options of a bridge network in the words of moby's driver. Options it doesn't know it keeps, as moby does. */
export function checkBridgeOptions(options: Options, others: Iterable<NetworkRecord>, internal: boolean): void {
  checkCommon(options);
  checkBoolean(options, DRIVER_OPTION.icc);
  checkBoolean(options, DRIVER_OPTION.masquerade);
  checkBoolean(options, DRIVER_OPTION.isDefault);
  checkBoolean(options, DRIVER_OPTION.inhibit4);
  const binding = options[DRIVER_OPTION.hostBinding];
  if (binding && !isIp(binding)) throw failed(DRIVER_OPTION.hostBinding, binding, 'nil ip');
  checkSource(options, DRIVER_OPTION.sourceIp4, 4);
  checkSource(options, DRIVER_OPTION.sourceIp6, 6);
  for (const option of [DRIVER_OPTION.gatewayMode4, DRIVER_OPTION.gatewayMode6]) {
    const mode = options[option];
    if (!mode) continue;
    if (!GATEWAY_MODES.some((known) => known === mode)) throw failed(option, mode, `unknown gateway mode ${mode}`);
    if (mode === 'isolated' && !internal) {
      throw invalidParameter("gateway mode 'isolated' can only be used for an internal network");
    }
  }
  const prefix = options[DRIVER_OPTION.prefix];
  if (prefix && !/^[^\s/:]{1,12}$/.test(prefix)) throw invalidParameter(`invalid interface prefix: ${prefix}`);
  checkBridgeName(options[DRIVER_OPTION.name], others);
}

function checkSource(options: Options, option: string, family: 4 | 6): void {
  const ip = options[option];
  if (ip && (!isIp(ip) || familyOf(ip) !== family)) throw failed(option, ip, 'nil ip');
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
