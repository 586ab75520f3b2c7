// The server at the far end of the tunnel in its conformance suite: plain JavaScript in one file, so that it can be run
// inside the machine as well. Usage: node guest-server.mjs SOCKET
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';

const path = process.argv[2];
rmSync(path, { force: true });
const chunk = Buffer.alloc(64 * 1024, 'skiff ');
/** what the last stream of a kind did, for tests that look at it afterwards */
const seen = { flooded: 0, dripClosed: 0, afterEnd: 0 };

const routes = {
  '/_ping': (_request, response) => response.end('OK'),
  '/seen': (_request, response) => response.end(JSON.stringify(seen)),
  '/bytes': (_request, response, query) => send(response, Number(query.get('n'))),
  '/swallow': (request, response) => request.resume().on('end', () => response.end('done')),
  '/sink': async (request, response) => response.end(JSON.stringify(await digest(request))),
  '/drip': (_request, response, query) => {
    let n = 0;
    const timer = setInterval(() => response.write(`${query.get('name')} ${n++}\n`), Number(query.get('ms')));
    response.on('close', () => {
      clearInterval(timer);
      seen.dripClosed++;
    });
  },
  '/flood': (_request, response) => {
    seen.flooded = 0;
    const more = () => {
      while (response.write(chunk)) seen.flooded += chunk.length;
      seen.flooded += chunk.length;
    };
    response.on('drain', more);
    more();
  },
  '/die': (request) => request.socket.destroy(),
};

const hijacks = {
  '/echo': (socket) => socket.pipe(socket),
  // Answers only after the client has ended its side, as `docker run -i` waits for the end of stdin.
  '/digest': async (socket) => socket.end(JSON.stringify(await digest(socket))),
  // Ends its own side first and goes on reading.
  '/end-first': (socket) => {
    seen.afterEnd = 0;
    socket.end('that was all\n');
    socket.on('data', (data) => {
      seen.afterEnd += data.length;
    });
  },
};

async function digest(stream) {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const data of stream) {
    hash.update(data);
    bytes += data.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

function send(response, bytes) {
  let left = bytes;
  const more = () => {
    while (left > 0) {
      const part = left >= chunk.length ? chunk : chunk.subarray(0, left);
      left -= part.length;
      if (!response.write(part)) return response.once('drain', more);
    }
    response.end();
  };
  more();
}

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://guest');
  const route = routes[url.pathname];
  if (route) route(request, response, url.searchParams);
  else response.writeHead(404).end();
});
server.on('upgrade', (request, socket, head) => {
  socket.on('error', () => {});
  socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
  if (head.length) socket.unshift(head);
  hijacks[request.url](socket);
});
server.listen(path, () => console.log('listening'));

// Ends with whoever started it.
process.stdin.on('end', () => process.exit()).resume();
