import { existsSync, statSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';

import { messageOf, systemError } from '../errors.ts';
import { inNetworkNamespace } from '../linux/namespaces.ts';
import {
  attribute,
  attributesOf,
  interfaceIndex,
  type Message,
  nlmFlags,
  openRouteSocket,
  type RouteSocket,
} from '../linux/netlink.ts';
import { addressBytes } from '../linux/sockets.ts';

/**
 * Links, addresses and routes through rtnetlink: bridges, veth pairs, and what a container sees of them.
 * Numbers are the kernel's (linux/rtnetlink.h, linux/if_link.h).
 */
const RTM = { newLink: 16, delLink: 17, getLink: 18, setLink: 19, newAddress: 20, newRoute: 24 } as const;
const IFLA = {
  address: 1,
  ifname: 3,
  mtu: 4,
  link: 5,
  master: 10,
  protocolInfo: 12,
  linkInfo: 18,
  group: 27,
  netNsFd: 28,
} as const;
const INFO = { kind: 1, data: 2 } as const;
const VETH_PEER = 1;
const VLAN_ID = 1;
const AF_BRIDGE = 7;
const BRIDGE_PORT = { hairpin: 4, isolated: 33 } as const;
const NESTED = 0x8000;
const IFF_UP = 1;
const RTA = { oif: 4, gateway: 5 } as const;
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

export const macBytes = (mac: string): Buffer => Buffer.from(mac.split(':').map((part) => Number.parseInt(part, 16)));

const addressFamily = (ip: string): number => (isIP(ip) === 6 ? 10 : 2);

function addAddress(index: number, address: Address): Message {
  const body = Buffer.alloc(8);
  body[0] = addressFamily(address.ip);
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

/** A default route; without a gateway everything is on the link (ipvlan's layer 3). */
function defaultRoute(index: number, gateway: string, family: 4 | 6): Message {
  const body = Buffer.alloc(12);
  body[0] = family === 6 ? 10 : 2;
  body[4] = 254; // main table
  body[5] = 3; // RTPROT_BOOT
  body[6] = gateway ? SCOPE.universe : SCOPE.link;
  body[7] = 1; // RTN_UNICAST
  return {
    type: RTM.newRoute,
    flags: nlmFlags.create | nlmFlags.replace,
    body,
    attributes: [...(gateway ? [attribute(RTA.gateway, addressBytes(gateway))] : []), attribute(RTA.oif, index)],
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

/**
 * Links that the engine makes on the machine carry its group number, set in the same message that makes them: so a later
 * start tells them from everybody else's, and finds what a crash left.
 */
export interface OwnedLink {
  readonly name: string;
  readonly group: number;
}

/** Makes the link unless it is there already. @returns its index */
function ensureLink(socket: RouteSocket, name: string, attributes: readonly Buffer[], flags = IFF_UP): number {
  const exists = interfaceIndex(name);
  if (exists !== undefined) return exists;
  socket.request([
    {
      type: RTM.newLink,
      flags: nlmFlags.create | nlmFlags.exclusive,
      body: linkHeader(0, flags),
      attributes: [attribute(IFLA.ifname, name), ...attributes],
      what: `link ${name}`,
    },
  ]);
  const index = interfaceIndex(name);
  if (index === undefined) throw new Error(`link ${name} vanished`);
  return index;
}

export interface BridgeRequest extends OwnedLink {
  readonly addresses: readonly Address[];
  readonly mtu: number;
  readonly mac: string;
}

/** Makes the bridge with its addresses and brings it up; fine when it is there already. @returns its index */
export function ensureBridge({ name, group, addresses, mtu, mac }: BridgeRequest): number {
  return withSocket((socket) => {
    const index = ensureLink(socket, name, [
      attribute(IFLA.mtu, mtu),
      attribute(IFLA.group, group),
      attribute(IFLA.address, macBytes(mac)),
      attribute(IFLA.linkInfo, [attribute(INFO.kind, 'bridge')]),
    ]);
    socket.request([linkUp(index), ...addresses.map((address) => addAddress(index, address))]);
    return index;
  });
}

/** What a macvlan or ipvlan network hangs on when its user names nothing that exists: a VLAN of a link, or a dummy. */
export function ensureParent({ name, group }: OwnedLink, vlan?: { readonly of: string; readonly id: number }): number {
  return withSocket((socket) => {
    const id = Buffer.alloc(2);
    id.writeUInt16LE(vlan?.id ?? 0);
    const under = vlan && interfaceIndex(vlan.of);
    const info = vlan
      ? [attribute(INFO.kind, 'vlan'), attribute(INFO.data, [attribute(VLAN_ID, id)])]
      : [attribute(INFO.kind, 'dummy')];
    const index = ensureLink(socket, name, [
      attribute(IFLA.group, group),
      ...(under === undefined ? [] : [attribute(IFLA.link, under)]),
      attribute(IFLA.linkInfo, info),
    ]);
    socket.request([linkUp(index)]);
    return index;
  });
}

export const linkExists = (name: string): boolean => interfaceIndex(name) !== undefined;

/** Names of the links of a group. */
export function linksOfGroup(group: number): string[] {
  return withSocket((socket) =>
    socket.dump(RTM.getLink, linkHeader()).flatMap((body) => {
      const found = attributesOf(body.subarray(16));
      const own = found.get(IFLA.group)?.readUInt32LE(0) === group;
      const name = found.get(IFLA.ifname)?.toString('latin1').replace(/\0.*$/, '');
      return own && name ? [name] : [];
    }),
  );
}

/** Deletes a link; fine when there is none. */
export function deleteLink(name: string): void {
  const index = interfaceIndex(name);
  if (index === undefined) return;
  withSocket((socket) =>
    socket.request([{ type: RTM.delLink, body: linkHeader(index), what: `delete ${name}`, tolerate: ['ENODEV'] }]),
  );
}

/** What a container's interface is made of. */
export type LinkKind =
  | {
      readonly kind: 'veth';
      /** The end on the machine's side, ≤ 15 characters. */
      readonly outer: OwnedLink;
      /** Index of the bridge to plug it into. */
      readonly bridge: number;
      /** Nothing passes between it and other such ports of the bridge. */
      readonly isolated: boolean;
    }
  | {
      readonly kind: 'macvlan' | 'ipvlan';
      readonly parent: number;
      readonly mode: number;
      readonly flags: number;
      /** Its first name: the kernel wants one that nobody has on the machine's side either, where `eth0` is taken. */
      readonly firstName: string;
    };

export interface InnerLinkRequest {
  readonly link: LinkKind;
  /** Name inside, `eth0`. */
  readonly innerName: string;
  readonly mac: string;
  readonly mtu: number;
  /** Open descriptor of the container's network namespace. */
  readonly namespaceFd: number;
}

/** An interface in the namespace; a veth's other end is plugged into its bridge and up. One message. */
export function createInnerLink(request: InnerLinkRequest): void {
  const { link, mtu } = request;
  // The inner end is brought up later, from inside: the kernel refuses to open a veth whose pair isn't complete yet.
  const inner = [
    attribute(IFLA.ifname, link.kind === 'veth' ? request.innerName : link.firstName),
    attribute(IFLA.mtu, mtu),
    ...(link.kind === 'ipvlan' ? [] : [attribute(IFLA.address, macBytes(request.mac))]),
    attribute(IFLA.netNsFd, request.namespaceFd),
  ];
  const kind = attribute(INFO.kind, link.kind);
  const message = (body: Buffer, attributes: readonly Buffer[]): Message => ({
    type: RTM.newLink,
    flags: nlmFlags.create | nlmFlags.exclusive,
    body,
    attributes,
    what: `${link.kind} ${request.innerName}`,
  });
  withSocket((socket) => {
    if (link.kind === 'veth') {
      const peer = Buffer.concat([linkHeader(), ...inner]);
      const outer = [
        attribute(IFLA.ifname, link.outer.name),
        attribute(IFLA.mtu, mtu),
        attribute(IFLA.group, link.outer.group),
        attribute(IFLA.master, link.bridge),
        attribute(IFLA.linkInfo, [kind, attribute(INFO.data, [attribute(VETH_PEER, peer)])]),
      ];
      socket.request([message(linkHeader(0, IFF_UP), outer)]);
      setBridgePort(socket, link.outer.name, link.isolated);
      return;
    }
    const mode = Buffer.alloc(link.kind === 'macvlan' ? 4 : 2);
    mode.writeUInt16LE(link.mode);
    const flags = Buffer.alloc(2);
    flags.writeUInt16LE(link.flags);
    const data = [attribute(1, mode), ...(link.kind === 'ipvlan' ? [attribute(2, flags)] : [])];
    const info = attribute(IFLA.linkInfo, [kind, attribute(INFO.data, data)]);
    socket.request([message(linkHeader(), [...inner, attribute(IFLA.link, link.parent), info])]);
  });
}

/** Gives a link in a namespace its name; one that can't have it is deleted. */
export function renameInside(namespacePath: string, from: string, to: string): void {
  inNetworkNamespace(namespacePath, () => {
    const body = linkHeader(indexHere(from));
    try {
      withSocket((socket) =>
        socket.request([{ type: RTM.newLink, body, attributes: [attribute(IFLA.ifname, to)], what: `name ${to}` }]),
      );
    } catch (error) {
      deleteLink(from);
      throw error;
    }
  });
}

/**
 * What a bridge needs to be told of a port: who is kept apart from its neighbours; and, where bridged packets pass the
 * firewall too (br_netfilter), that a container's packet to its own published port goes back where it came from.
 */
function setBridgePort(socket: RouteSocket, name: string, isolated: boolean): void {
  const hairpin = existsSync('/proc/sys/net/bridge/bridge-nf-call-iptables');
  const index = isolated || hairpin ? interfaceIndex(name) : undefined;
  if (index === undefined) return;
  const on = Buffer.from([1]);
  const body = linkHeader(index);
  body[0] = AF_BRIDGE;
  const settings = [
    ...(hairpin ? [attribute(BRIDGE_PORT.hairpin, on)] : []),
    ...(isolated ? [attribute(BRIDGE_PORT.isolated, on)] : []),
  ];
  const info = attribute(IFLA.protocolInfo | NESTED, settings);
  socket.request([{ type: RTM.setLink, body, attributes: [info], what: `bridge port ${name}` }]);
}

export interface InnerLink {
  readonly name: string;
  readonly addresses: readonly Address[];
  /** Default gateways to set; '' is "everything is on the link". */
  readonly gateways: readonly { readonly family: 4 | 6; readonly ip: string }[];
  /** `net.X.Y.IFNAME.Z=V` */
  readonly sysctls: readonly string[];
}

/** The kernel numbers interfaces of a namespace as they come: inside, they are asked for by name. */
function indexHere(name: string): number {
  const index = interfaceIndex(name);
  if (index === undefined) throw new Error(`interface ${name} vanished`);
  return index;
}

/** Inside a container's namespace: loopback and its links up, their addresses and routes. One batch. */
export function configureInside(namespacePath: string, links: readonly InnerLink[]): void {
  const messages: Message[] = [linkUp(1)];
  inNetworkNamespace(namespacePath, () => {
    for (const link of links) {
      const index = indexHere(link.name);
      // Without an address of IPv6 it has none at all, not even a link-local one.
      setIpv6(
        link.name,
        link.addresses.some((address) => isIP(address.ip) === 6),
      );
      for (const sysctl of link.sysctls) setSysctl(link.name, sysctl);
      messages.push(linkUp(index));
      messages.push(...link.addresses.map((address) => addAddress(index, address)));
      messages.push(...link.gateways.map(({ family, ip }) => defaultRoute(index, ip, family)));
    }
    withSocket((socket) => socket.request(messages));
  });
}

/** Sets a sysctl of an interface; throws in moby's words. */
function setSysctl(name: string, sysctl: string): void {
  const failed = (reason: string) => systemError(`failed to set sysctl '${sysctl}': ${reason}`);
  const equals = sysctl.indexOf('=');
  if (equals < 0) throw failed(`expected sysctl '${sysctl}' to have format name=value`);
  const [net = '', family = '', kind = '', , ...rest] = sysctl.slice(0, equals).split('.');
  const words = [net, family, kind, name, ...rest];
  const path = join('/proc/sys', ...words);
  // A word that climbs out must not reach anything else.
  if (
    rest.length !== 1 ||
    words.some((word) => /^\.*$|\//.test(word)) ||
    !statSync(path, { throwIfNoEntry: false })?.isFile()
  ) {
    throw failed(`${path} is not a sysctl file`);
  }
  try {
    writeFileSync(path, sysctl.slice(equals + 1));
  } catch (error) {
    throw failed(`unable to write to '${path}': ${messageOf(error)}`);
  }
}

function setIpv6(name: string, on: boolean): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, on ? '0' : '1');
  } catch (error) {
    // A kernel without IPv6.
    if (on) throw error;
  }
}

/** Sets default routes of links that are there already. */
export function setDefaultRoutes(namespacePath: string, links: readonly InnerLink[]): void {
  if (links.every((link) => link.gateways.length === 0)) return;
  inNetworkNamespace(namespacePath, () => {
    const messages = links.flatMap((link) =>
      link.gateways.map(({ family, ip }) => defaultRoute(indexHere(link.name), ip, family)),
    );
    withSocket((socket) => socket.request(messages));
  });
}

/** Takes a link out of a container's namespace (its pair goes with it); fine when it isn't there. */
export function deleteInside(namespacePath: string, name: string): void {
  inNetworkNamespace(namespacePath, () => deleteLink(name));
}
