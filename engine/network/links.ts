import { isIP } from 'node:net';
import { inNetworkNamespace } from '../linux/namespaces.ts';
import {
  attribute,
  interfaceIndex,
  type Message,
  nlmFlags,
  openRouteSocket,
  type RouteSocket,
} from '../linux/netlink.ts';

/**
 * Links, addresses and routes through rtnetlink: bridges, veth pairs, and what a container sees of them.
 * Numbers are the kernel's (linux/rtnetlink.h, linux/if_link.h).
 */
const RTM = { newLink: 16, delLink: 17, newAddress: 20, newRoute: 24 } as const;
const IFLA = { address: 1, ifname: 3, mtu: 4, master: 10, linkInfo: 18, netNsFd: 28 } as const;
const INFO = { kind: 1, data: 2 } as const;
const VETH_PEER = 1;
const IFF_UP = 1;
const RTA = { destination: 1, oif: 4, gateway: 5 } as const;
const SCOPE = { universe: 0, link: 253 } as const;

export interface Address {
  /** IPv4 or IPv6 text. */
  readonly ip: string;
  readonly prefix: number;
}

/** struct ifinfomsg */
function linkHeader(index = 0, flags = 0): Buffer {
  const body = Buffer.alloc(16);
  body.writeInt32LE(index, 4);
  body.writeUInt32LE(flags, 8);
  body.writeUInt32LE(flags, 12);
  return body;
}

/** An address as the kernel's bytes: 4 or 16. */
export function addressBytes(ip: string): Buffer {
  if (isIP(ip) === 4) return Buffer.from(ip.split('.').map(Number));
  const bytes = Buffer.alloc(16);
  const [head = '', tail] = ip.split('%')[0]!.split('::');
  const groups = (text: string): number[] => (text ? text.split(':').map((part) => Number.parseInt(part, 16)) : []);
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  for (const [i, group] of front.entries()) bytes.writeUInt16BE(group, i * 2);
  for (const [i, group] of back.entries()) bytes.writeUInt16BE(group, 16 - (back.length - i) * 2);
  return bytes;
}

export const macBytes = (mac: string): Buffer => Buffer.from(mac.split(':').map((part) => Number.parseInt(part, 16)));

const family = (ip: string): number => (isIP(ip) === 6 ? 10 : 2);

function addAddress(index: number, address: Address): Message {
  const body = Buffer.alloc(8);
  body[0] = family(address.ip);
  body[1] = address.prefix;
  // IFA_F_NODAD: an address the engine hands out is its own; waiting for duplicates would delay every start.
  body[2] = body[0] === 10 ? 0x02 : 0;
  body.writeUInt32LE(index, 4);
  const bytes = addressBytes(address.ip);
  return {
    type: RTM.newAddress,
    flags: nlmFlags.create | nlmFlags.replace,
    body,
    attributes: [attribute(1, bytes), attribute(2, bytes)],
    what: `address ${address.ip}`,
    tolerate: ['EEXIST'],
  };
}

function defaultRoute(index: number, gateway: string): Message {
  const body = Buffer.alloc(12);
  body[0] = family(gateway);
  body[4] = 254; // main table
  body[5] = 3; // RTPROT_BOOT
  body[6] = SCOPE.universe;
  body[7] = 1; // RTN_UNICAST
  return {
    type: RTM.newRoute,
    flags: nlmFlags.create | nlmFlags.replace,
    body,
    attributes: [attribute(RTA.gateway, addressBytes(gateway)), attribute(RTA.oif, index)],
    what: `default route via ${gateway}`,
  };
}

function withSocket<T>(work: (socket: RouteSocket) => T): T {
  const socket = openRouteSocket();
  try {
    return work(socket);
  } finally {
    socket.close();
  }
}

const linkUp = (index: number): Message => ({
  type: RTM.newLink,
  body: linkHeader(index, IFF_UP),
  what: `link ${index} up`,
});

/** Makes the bridge with its address and brings it up; fine when it is there already. @returns its index */
export function ensureBridge(name: string, addresses: readonly Address[], mtu: number, mac: string): number {
  return withSocket((socket) => {
    socket.request([
      {
        type: RTM.newLink,
        flags: nlmFlags.create | nlmFlags.exclusive,
        body: linkHeader(0, IFF_UP),
        attributes: [
          attribute(IFLA.ifname, name),
          attribute(IFLA.mtu, mtu),
          attribute(IFLA.address, macBytes(mac)),
          attribute(IFLA.linkInfo, [attribute(INFO.kind, 'bridge')]),
        ],
        what: `bridge ${name}`,
        tolerate: ['EEXIST'],
      },
    ]);
    const index = interfaceIndex(name);
    if (index === undefined) throw new Error(`bridge ${name} vanished`);
    socket.request([linkUp(index), ...addresses.map((address) => addAddress(index, address))]);
    return index;
  });
}

/** Deletes a link; fine when there is none. */
export function deleteLink(name: string): void {
  const index = interfaceIndex(name);
  if (index === undefined) return;
  withSocket((socket) =>
    socket.request([{ type: RTM.delLink, body: linkHeader(index), what: `delete ${name}`, tolerate: ['ENODEV'] }]),
  );
}

export interface VethRequest {
  /** Name on the machine's side, ≤ 15 characters. */
  readonly hostName: string;
  /** Name inside, `eth0`. */
  readonly innerName: string;
  /** Index inside, chosen by us so that no question has to be asked: 2 for eth0, 3 for eth1 … */
  readonly innerIndex: number;
  readonly mac: string;
  readonly mtu: number;
  /** Index of the bridge to plug it into. */
  readonly bridge: number;
  /** Open descriptor of the container's network namespace. */
  readonly namespaceFd: number;
}

/** A veth pair plugged into the bridge and the namespace, its outer end up: one message. */
export function createVeth(request: VethRequest): void {
  // The inner end is brought up later, from inside: the kernel refuses to open a veth whose pair isn't complete yet.
  const peer = Buffer.concat([
    linkHeader(request.innerIndex),
    attribute(IFLA.ifname, request.innerName),
    attribute(IFLA.mtu, request.mtu),
    attribute(IFLA.address, macBytes(request.mac)),
    attribute(IFLA.netNsFd, request.namespaceFd),
  ]);
  withSocket((socket) =>
    socket.request([
      {
        type: RTM.newLink,
        flags: nlmFlags.create | nlmFlags.exclusive,
        body: linkHeader(0, IFF_UP),
        attributes: [
          attribute(IFLA.ifname, request.hostName),
          attribute(IFLA.mtu, request.mtu),
          attribute(IFLA.master, request.bridge),
          attribute(IFLA.linkInfo, [attribute(INFO.kind, 'veth'), attribute(INFO.data, [attribute(VETH_PEER, peer)])]),
        ],
        what: `veth ${request.hostName}`,
      },
    ]),
  );
}

export interface InnerLink {
  readonly index: number;
  readonly addresses: readonly Address[];
  /** Default gateways to set, IPv4 and IPv6. */
  readonly gateways: readonly string[];
}

/** Inside a container's namespace: loopback and its links up, their addresses and routes. One batch. */
export function configureInside(namespacePath: string, links: readonly InnerLink[]): void {
  const messages: Message[] = [linkUp(1)];
  for (const link of links) {
    messages.push(linkUp(link.index));
    messages.push(...link.addresses.map((address) => addAddress(link.index, address)));
    messages.push(...link.gateways.map((gateway) => defaultRoute(link.index, gateway)));
  }
  inNetworkNamespace(namespacePath, () => withSocket((socket) => socket.request(messages)));
}

/** Takes a link out of a container's namespace (its pair goes with it); fine when it isn't there. */
export function deleteInside(namespacePath: string, name: string): void {
  inNetworkNamespace(namespacePath, () => deleteLink(name));
}
