/**
 * `node web-server.ts FOLDER [PORT]`: a web server on 127.0.0.1 for tests, run where the engine's addresses are. It prints its port.
 *
 *   /files/NAME[?type=T]   a file of the folder, with this content type (none: no type at all)
 *   /git/NAME.git/…        a repository of the folder, through git's own http-backend
 *   /status/CODE           an answer of that status
 *   /redirect/N/PATH       N redirects, then PATH
 *   /cut                   a tar that breaks off
 *   /stall                 a body that never ends
 *   /big/BYTES             zeros
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';

import { tarHeader } from '../../engine/snapshots/tar/write.ts';

const [folder = '.', port = '0'] = process.argv.slice(2);
const BACKEND = '/usr/lib/git-core/git-http-backend';

const server = createServer((request, answer) => {
  const url = new URL(request.url ?? '/', 'http://server');
  const [, kind = '', first = '', ...rest] = url.pathname.split('/');
  switch (kind) {
    case 'files': {
      const path = join(folder, first);
      if (!existsSync(path)) return void answer.writeHead(404).end('no such file\n');
      const type = url.searchParams.get('type');
      answer.writeHead(200, {
        ...(type ? { 'content-type': type } : {}),
        'last-modified': 'Sun, 09 Sep 2001 01:46:40 GMT',
      });
      return void answer.end(readFileSync(path));
    }
    case 'git':
      return serveGit(request, answer, url);
    case 'status':
      return void answer.writeHead(Number(first), { 'content-type': 'text/plain' }).end(`this is ${first}\n`);
    case 'redirect': {
      const left = Number(first) - 1;
      const next = left > 0 ? `/redirect/${left}/${rest.join('/')}` : `/${rest.join('/')}`;
      return void answer.writeHead(302, { location: next + url.search }).end();
    }
    case 'cut':
      answer.writeHead(200, { 'content-type': 'application/x-tar', 'content-length': '100000' });
      answer.write(
        Buffer.concat([
          tarHeader({ name: 'f', type: 'file', mode: 0o644, uid: 0, gid: 0, size: 90_000 }),
          Buffer.alloc(1000),
        ]),
        () => answer.destroy(),
      );
      return;
    case 'stall':
      answer.writeHead(200, { 'content-type': 'application/x-tar' });
      answer.write(Buffer.alloc(512));
      return;
    case 'big':
      answer.writeHead(200, { 'content-length': first });
      return void Readable.from(zeros(Number(first))).pipe(answer);
    default:
      answer.writeHead(404).end();
  }
});

function* zeros(size: number): Generator<Buffer> {
  const chunk = Buffer.alloc(1024 * 1024);
  for (let left = size; left > 0; left -= chunk.length) yield chunk.subarray(0, Math.min(left, chunk.length));
}

/** CGI, as far as http-backend needs it. */
function serveGit(request: IncomingMessage, answer: ServerResponse, url: URL): void {
  const child = spawn(BACKEND, {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      PATH_INFO: url.pathname.slice('/git'.length),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: String(request.headers['content-encoding'] ?? ''),
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_ADDR: '127.0.0.1',
    },
  });
  request.pipe(child.stdin);
  child.stdin.on('error', () => {});
  let head = Buffer.alloc(0);
  child.stdout.on('data', (chunk: Buffer) => {
    if (answer.headersSent) return void answer.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const lines = head.subarray(0, end).toString().split('\r\n');
    const headers = Object.fromEntries(lines.map((line) => line.split(': ', 2) as [string, string]));
    answer.writeHead(Number.parseInt(headers.Status ?? '200', 10), headers);
    answer.write(head.subarray(end + 4));
  });
  child.on('close', () => answer.end());
}

server.listen(Number(port), '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
