// A resolver for tests, run in a container's network namespace: node upstream.mjs
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { decode, encode } from 'dns-packet';

function answer(message, room) {
  const query = decode(message);
  const { name, type } = query.questions[0];
  const count = name === 'long.example' ? 200 : 1;
  const known = name.endsWith('.example') && type === 'A';
  const answers = Array.from({ length: known ? count : 0 }, (_unused, n) => ({
    type: 'A',
    name,
    ttl: 5,
    data: `10.9.${Math.floor(n / 250)}.${(n % 250) + 1}`,
  }));
  const rcode = name.endsWith('.example') ? 0 : 3;
  const reply = (flags, list) =>
    encode({ type: 'response', id: query.id, flags: flags | rcode, questions: query.questions, answers: list });
  const whole = reply(0x180, answers);
  return whole.length <= room ? whole : reply(0x380, []);
}

const udp = createSocket('udp4');
udp.on('message', (message, from) => udp.send(answer(message, 512), from.port, from.address));
udp.bind(53);
createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    const reply = answer(chunk.subarray(2), 65535);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(reply.length);
    socket.write(Buffer.concat([length, reply]));
  });
}).listen(53, () => console.log('ready'));
