import { nft } from '../linux/nftables.ts';

/** A bridge as the firewall sees it. */
export interface FirewalledBridge {
  readonly name: string;
  readonly subnet: string;
  readonly masquerade: boolean;
  /** No way in or out. */
  readonly internal: boolean;
  /** Containers on it may talk to each other. */
  readonly interContainer: boolean;
}

export interface PublishedPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** '0.0.0.0' for every address of the machine. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerIp: string;
  readonly containerPort: number;
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;

/**
 * skiffd's own nftables table, `ip skiff`; no other table is read or touched. Bridges are written as rules, all of them
 * again in one transaction when one changes; published ports are elements of maps, so that publishing is one small
 * transaction however many there are.
 */
const TABLE = 'ip skiff';

const mapName = (port: PublishedPort): string => `${port.protocol}_${port.hostIp === '0.0.0.0' ? 'any' : 'one'}`;

const key = (port: PublishedPort): string =>
  port.hostIp === '0.0.0.0' ? String(port.hostPort) : `${port.hostIp} . ${port.hostPort}`;

const element = (port: PublishedPort): string => `${key(port)} : ${port.containerIp} . ${port.containerPort}`;

function maps(): string {
  const lines: string[] = [];
  for (const protocol of PROTOCOLS) {
    lines.push(`map ${protocol}_any { type inet_service : ipv4_addr . inet_service; }`);
    lines.push(`map ${protocol}_one { type ipv4_addr . inet_service : ipv4_addr . inet_service; }`);
  }
  return lines.join('\n');
}

/** The rules for these bridges; `dnat` comes before the container's own filter, as connections are seen translated. */
function rules(bridges: readonly FirewalledBridge[]): string {
  const translate = PROTOCOLS.map(
    (protocol) =>
      `    dnat ip to ip daddr . ${protocol} dport map @${protocol}_one\n    dnat ip to ${protocol} dport map @${protocol}_any`,
  ).join('\n');
  const post: string[] = [];
  const closed: string[] = [];
  const forward: string[] = [];
  for (const { name, subnet, masquerade, internal, interContainer } of bridges) {
    if (masquerade && !internal) post.push(`ip saddr ${subnet} oifname != "${name}" masquerade`);
    // Hairpin: a container (or the machine's loopback) that reaches a published port comes from the bridge's own address.
    post.push(`ip saddr ${subnet} ip daddr ${subnet} oifname "${name}" ct status dnat masquerade`);
    post.push(`ip saddr 127.0.0.0/8 oifname "${name}" masquerade`);
    if (internal)
      closed.push(`iifname "${name}" oifname != "${name}" drop`, `oifname "${name}" iifname != "${name}" drop`);
    forward.push(`iifname "${name}" oifname "${name}" ${interContainer ? 'accept' : 'drop'}`);
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
    fib daddr type local jump translate
  }
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
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

/** Writes the table for these bridges and ports, replacing what was there, in one transaction. */
export function resetFirewall(bridges: readonly FirewalledBridge[], ports: readonly PublishedPort[]): void {
  const elements = ports.map((port) => `add element ${TABLE} ${mapName(port)} { ${element(port)} }`).join('\n');
  nft(`add table ${TABLE}\ndelete table ${TABLE}\ntable ${TABLE} {\n${maps()}\n${rules(bridges)}\n}\n${elements}\n`);
}

/** Takes skiffd's table away. */
export function removeFirewall(): void {
  nft(`add table ${TABLE}\ndelete table ${TABLE}\n`);
}

export function publishPorts(ports: readonly PublishedPort[]): void {
  if (ports.length === 0) return;
  nft(ports.map((port) => `add element ${TABLE} ${mapName(port)} { ${element(port)} }`).join('\n'));
}

export function unpublishPorts(ports: readonly PublishedPort[]): void {
  if (ports.length === 0) return;
  nft(ports.map((port) => `delete element ${TABLE} ${mapName(port)} { ${key(port)} }`).join('\n'));
}
