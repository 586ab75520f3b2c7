/**
 * What the tunnel costs, without emulation: `node test/tunnel/speed.ts`. The same requests go to a plain HTTP server
 * directly and through the tunnel (a real sshd on this machine), on a new connection each, as `docker` makes them.
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { get, getText, text } from './client.ts';
import { openLocalTunnel } from './local.ts';

const MB = 1024 * 1024;
const BULK = 256 * MB;

async function pingMs(socket: string): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < 400; n++) {
    const begin = performance.now();
    await getText(socket, '/_ping');
    times.push(performance.now() - begin);
  }
  return times.sort((a, b) => a - b)[200] ?? 0;
}

async function downGbit(socket: string): Promise<number> {
  const begin = performance.now();
  const response = await get(socket, `/bytes?n=${BULK}`);
  let got = 0;
  for await (const part of response) got += (part as Buffer).length;
  return (got * 8) / 1e6 / (performance.now() - begin);
}

async function upGbit(socket: string): Promise<number> {
  const chunk = Buffer.alloc(MB, 'skiff');
  const begin = performance.now();
  const sent = request({ socketPath: socket, path: '/swallow', method: 'POST', agent: false });
  const answer = once(sent, 'response');
  for (let n = 0; n < BULK / MB; n++) if (!sent.write(chunk)) await once(sent, 'drain');
  sent.end();
  await text((await answer)[0]);
  return (BULK * 8) / 1e6 / (performance.now() - begin);
}

const local = await openLocalTunnel();
for (const measure of [pingMs, downGbit, upGbit]) {
  await measure(local.tunnel.socketPath);
  const direct = await measure(local.guestSocket);
  const through = await measure(local.tunnel.socketPath);
  console.log(`${measure.name}: direct ${direct.toFixed(2)}, through the tunnel ${through.toFixed(2)}`);
}
await local.close();
