import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, type Packet, RECURSION_AVAILABLE } from 'dns-packet';

/** A question as a container asks it (RFC 1035), reduced to what decides about its answer. */
export interface Query {
  readonly packet: Packet;
  /** Lower case, without the dot at the end. */
  readonly name: string;
  readonly type: string;
  /** The largest datagram its asker takes. */
  readonly datagramLimit: number;
}

/** What is answered from names the engine knows. */
export type LocalAnswer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  | { readonly kind: 'pointer'; readonly name: string };

/** Seconds that an answer may be kept, as dockerd says. */
const TTL = 600;
const PLAIN_DATAGRAM = 512;
const RCODE = { noError: 0, formatError: 1, serverFailure: 2, notImplemented: 4 } as const;
const TRUNCATED = 1 << 9;
const RECURSION_DESIRED = 1 << 8;

/** Undefined: not a question that could be answered. */
export function parseQuery(bytes: Buffer): Query | undefined {
  let packet: Packet;
  try {
    packet = decode(bytes);
  } catch {
    return undefined;
  }
  const question = packet.questions?.[0];
  if (packet.type !== 'query' || !question || packet.questions?.length !== 1) return undefined;
  const edns = packet.additionals?.find((record) => record.type === 'OPT');
  const size = edns && 'udpPayloadSize' in edns ? edns.udpPayloadSize : 0;
  return {
    packet,
    name: question.name.toLowerCase().replace(/\.$/, ''),
    type: question.type,
    datagramLimit: Math.max(PLAIN_DATAGRAM, size),
  };
}

function reply(query: Query, answers: Answer[], rcode: number, extraFlags = 0): Buffer {
  const asked = (query.packet.flags ?? 0) & RECURSION_DESIRED;
  const edns = query.packet.additionals?.some((record) => record.type === 'OPT');
  return encode({
    type: 'response',
    id: query.packet.id,
    flags: asked | RECURSION_AVAILABLE | extraFlags | rcode,
    questions: query.packet.questions,
    answers,
    // Whoever spoke EDNS hears it back (RFC 6891, 6.1.1).
    additionals: edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: 1232,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  });
}

/** The answer in full, or marked as cut when it doesn't fit: then the asker comes again over TCP. */
export function answerTo(query: Query, local: LocalAnswer, limit: number): Buffer {
  const name = query.packet.questions![0]!.name;
  const answers: Answer[] =
    local.kind === 'pointer'
      ? [{ type: 'PTR', name, ttl: TTL, class: 'IN', data: local.name }]
      : local.addresses.map((data) => ({ type: data.includes(':') ? 'AAAA' : 'A', name, ttl: TTL, class: 'IN', data }));
  const whole = reply(query, answers, RCODE.noError, AUTHORITATIVE_ANSWER);
  return whole.length <= limit ? whole : reply(query, [], RCODE.noError, TRUNCATED | AUTHORITATIVE_ANSWER);
}

/** The name is known, but has nothing of the type asked for. */
export const noData = (query: Query): Buffer => reply(query, [], RCODE.noError);

export const serverFailure = (query: Query): Buffer => reply(query, [], RCODE.serverFailure);

/** For what can't be read: the header alone, with its id. Undefined when not even that is there, or it is an answer. */
export function formatError(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 12 || (bytes[2]! & 0x80) !== 0) return undefined;
  const header = Buffer.alloc(12);
  bytes.copy(header, 0, 0, 2);
  header[2] = 0x80 | (bytes[2]! & 0x79);
  header[3] = (bytes[2]! & 0x78) === 0 ? RCODE.formatError : RCODE.notImplemented;
  return header;
}

/** Whether an upstream's answer is worth handing on, or another upstream should be asked. */
export const isFinal = (answer: Buffer): boolean => [0, 3].includes(answer[3]! & 0x0f);
