import { decode, encode } from 'dns-packet';
import { describe, expect, test } from 'vitest';

import { answerTo, formatError, noData, parseQuery } from './message.ts';
import { Frames, frame } from './tcp-frames.ts';

const question = (type: 'A' | 'AAAA' | 'PTR', name: string, udpPayloadSize?: number) =>
  encode({
    type: 'query',
    id: 7,
    flags: 0x100,
    questions: [{ type, name, class: 'IN' }],
    additionals: udpPayloadSize
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  });

describe('messages of the embedded resolver', () => {
  const many = { kind: 'addresses', addresses: Array.from({ length: 60 }, (_unused, n) => `10.0.0.${n + 1}`) } as const;

  test('an answer keeps the id and the spelling of the question', () => {
    const query = parseQuery(question('A', 'WeB.Town'))!;
    expect(query.name).toBe('web.town');
    const answer = decode(answerTo(query, { kind: 'addresses', addresses: ['10.0.0.1'] }, query.datagramLimit));
    expect(answer).toMatchObject({ id: 7, rcode: 'NOERROR', flag_ra: true, flag_rd: true });
    expect(answer.questions?.[0]?.name).toBe('WeB.Town');
    expect(answer.answers).toMatchObject([{ type: 'A', data: '10.0.0.1' }]);
  });

  test('what does not fit into a datagram is cut and says so; over TCP, or with room by EDNS, it is whole', () => {
    const plain = parseQuery(question('A', 'many'))!;
    const cut = answerTo(plain, many, plain.datagramLimit);
    expect(cut.length).toBeLessThanOrEqual(512);
    expect(decode(cut)).toMatchObject({ flag_tc: true, answers: [] });
    expect(decode(answerTo(plain, many, 65535)).answers).toHaveLength(60);
    const roomy = parseQuery(question('A', 'many', 4096))!;
    const whole = decode(answerTo(roomy, many, roomy.datagramLimit));
    expect(whole.answers).toHaveLength(60);
    expect(whole.additionals?.[0]?.type).toBe('OPT');
  });

  test('a known name without such a record is no error', () => {
    expect(decode(noData(parseQuery(question('AAAA', 'web'))!))).toMatchObject({ rcode: 'NOERROR', answers: [] });
  });

  test('noise gets a format error or silence, never an exception', () => {
    expect(parseQuery(Buffer.from('noise'))).toBeUndefined();
    expect(formatError(Buffer.from('noise'))).toBeUndefined();
    const broken = Buffer.concat([question('A', 'x').subarray(0, 12), Buffer.from([63])]);
    expect(parseQuery(broken)).toBeUndefined();
    expect(formatError(broken)?.[3]).toBe(1);
    const answer = answerTo(parseQuery(question('A', 'x'))!, many, 65535);
    expect(parseQuery(answer)).toBeUndefined();
    expect(formatError(answer)).toBeUndefined();
  });

  test('messages on a TCP stream come in pieces and several at once', () => {
    const frames = new Frames();
    const stream = Buffer.concat([frame(Buffer.from('one')), frame(Buffer.from('two'))]);
    expect(frames.push(stream.subarray(0, 4))).toEqual([]);
    expect(frames.push(stream.subarray(4)).map(String)).toEqual(['one', 'two']);
  });
});
