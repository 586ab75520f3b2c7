import { nft } from '../linux/nftables.ts';
import { type Family, familyOf } from './subnet.ts';

/** A bridge as the firewall sees it. */
export interface FirewalledBridge {
  readonly name: string;
  /** Its subnets, of both families. */
  readonly subnets: readonly FirewalledSubnet[];
  readonly masquerade: boolean;
  /** No way in or out. */
  readonly internal: boolean;
  /** Containers on it may talk to each other. */
  readonly interContainer: boolean;
  /** Interfaces from which published ports are reached at the containers' own addresses. */
  readonly trusted: readonly string[];
}

export interface FirewalledSubnet {
  readonly family: Family;
  readonly cidr: string;
  /** `nat-unprotected`: every port of a container is reached at its own address; `routed`: what is published, and nothing is translated. */
  readonly mode: 'nat' | 'nat-unprotected' | 'routed' | 'isolated';
  /** Address that connections to the outside come from; otherwise that of the interface they leave by. */
  readonly sourceIp: string | undefined;
}

export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** '0.0.0.0' or '::' for every address of the machine; of one family with containerIp. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerIp: string;
  readonly containerPort: number;
  /** Reached at the container's own address: as well as (`also`) or instead of (`only`) through the machine's. */
  readonly direct?: 'also' | 'only';
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;

/**
 * skiffd's own nftables tables, `ip skiff` and `ip6 skiff`; no other table is read or touched. Bridges are written as rules,
 * all of them again in one transaction when one changes; published ports are elements of maps, so that publishing is one
 * small transaction however many there are.
 */
const TABLES: Record<Family, string> = { 4: 'ip skiff', 6: 'ip6 skiff' };

/** The words that differ between the families, and loopback, which only IPv4 can translate. */
const WORDS: Record<Family, { ip: string; icmp: string; type: string; loopback: string }> = {
  4: { ip: 'ip', icmp: 'icmp', type: 'ipv4_addr', loopback: '127.0.0.0/8' },
  6: { ip: 'ip6', icmp: 'icmpv6', type: 'ipv6_addr', loopback: '::1' },
};

export const isAny = (ip: string): boolean => ip === '0.0.0.0' || ip === '::';

const mapName = (port: PublishedPort): string => `${port.protocol}_${isAny(port.hostIp) ? 'any' : 'one'}`;

const key = (port: PublishedPort): string =>
  isAny(port.hostIp) ? String(port.hostPort) : `${port.hostIp} . ${port.hostPort}`;

const element = (port: PublishedPort): string => `${key(port)} : ${port.containerIp} . ${port.containerPort}`;

const tableOf = (port: PublishedPort): string => TABLES[familyOf(port.containerIp)];

function maps(family: Family): string {
  const { type } = WORDS[family];
  return PROTOCOLS.flatMap((protocol) => [
    `map ${protocol}_any { type inet_service : ${type} . inet_service; }`,
    `map ${protocol}_one { type ${type} . inet_service : ${type} . inet_service; }`,
    `set ${protocol}_direct { type ${type} . inet_service; }`,
  ]).join('\n');
}

/** The rules for these bridges; `dnat` comes before the container's own filter, as connections are seen translated. */
function rules(family: Family, bridges: readonly FirewalledBridge[]): string {
  const { ip, icmp, loopback } = WORDS[family];
  const translate = PROTOCOLS.map(
    (protocol) =>
      `    dnat ${ip} to ${ip} daddr . ${protocol} dport map @${protocol}_one\n    dnat ${ip} to ${protocol} dport map @${protocol}_any`,
  ).join('\n');
  const post: string[] = [];
  const closed: string[] = [];
  const forward: string[] = [];
  for (const { name, subnets, masquerade, internal, interContainer, trusted } of bridges) {
    const direct = PROTOCOLS.map(
      (protocol) => `oifname "${name}" ${ip} daddr . ${protocol} dport @${protocol}_direct accept`,
    );
    const own = subnets.filter((subnet) => subnet.family === family);
    for (const { cidr, mode, sourceIp } of own) {
      if (mode === 'routed' || mode === 'isolated') continue;
      const leave = sourceIp ? `snat to ${sourceIp}` : 'masquerade';
      if (masquerade && !internal) post.push(`${ip} saddr ${cidr} oifname != "${name}" ${leave}`);
      // Hairpin: a container (or the machine's loopback) that reaches a published port comes from the bridge's own address.
      post.push(`${ip} saddr ${cidr} ${ip} daddr ${cidr} oifname "${name}" ct status dnat masquerade`);
    }
    post.push(`${ip} saddr ${loopback} oifname "${name}" masquerade`);
    if (internal)
      closed.push(`iifname "${name}" oifname != "${name}" drop`, `oifname "${name}" iifname != "${name}" drop`);
    forward.push(`iifname "${name}" oifname "${name}" ${interContainer ? 'accept' : 'drop'}`);
    if (own.some(({ mode }) => mode === 'nat-unprotected')) forward.push(`oifname "${name}" accept`);
    if (own.some(({ mode }) => mode === 'routed'))
      forward.push(...direct, `oifname "${name}" meta l4proto ${icmp} accept`);
    for (const from of trusted) forward.push(...direct.map((rule) => `iifname "${from}" ${rule}`));
    // From outside, other bridges included, nothing but what is published, and that was accepted before.
    forward.push(`oifname "${name}" drop`);
  }
  return `
  chain translate {
${translate}
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump translate
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ${family === 6 ? `${ip} daddr ${loopback} accept` : ''}
    fib daddr type local jump translate
  }
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ${ip} daddr ${loopback} drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ${post.join('\n    ')}
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    ${closed.join('\n    ')}
    ct status dnat accept
    ${forward.join('\n    ')}
  }`;
}

/** Writes the tables for these bridges and ports, replacing what was there, in one transaction. */
export function resetFirewall(bridges: readonly FirewalledBridge[], ports: readonly PublishedPort[]): void {
  const tables = ([4, 6] as const).map((family) => {
    const table = TABLES[family];
    return `add table ${table}\ndelete table ${table}\ntable ${table} {\n${maps(family)}\n${rules(family, bridges)}\n}\n`;
  });
  nft(`${tables.join('')}${additions(ports)}\n`);
}

/** Takes skiffd's tables away. */
export function removeFirewall(): void {
  nft(
    Object.values(TABLES)
      .map((table) => `add table ${table}\ndelete table ${table}\n`)
      .join(''),
  );
}

/** What of these ports goes into maps, and what into the sets of those that are reached directly. */
function elements(ports: readonly PublishedPort[]) {
  const translated = ports.filter(({ direct }) => direct !== 'only');
  const direct = ports
    .filter((port) => port.direct)
    .map((port) => `${tableOf(port)} ${port.protocol}_direct { ${port.containerIp} . ${port.containerPort} }`);
  return { translated, direct: [...new Set(direct)] };
}

function additions(ports: readonly PublishedPort[]): string {
  const { translated, direct } = elements(ports);
  const maps = translated.map((port) => `add element ${tableOf(port)} ${mapName(port)} { ${element(port)} }`);
  return [...maps, ...direct.map((one) => `add element ${one}`)].join('\n');
}

export function publishPorts(ports: readonly PublishedPort[]): void {
  if (ports.length > 0) nft(additions(ports));
}

export function unpublishPorts(ports: readonly PublishedPort[]): void {
  if (ports.length === 0) return;
  const { translated, direct } = elements(ports);
  const maps = translated.map((port) => `delete element ${tableOf(port)} ${mapName(port)} { ${key(port)} }`);
  nft([...maps, ...direct.map((one) => `delete element ${one}`)].join('\n'));
}
