import type { Socket } from 'node:net';

/**
 * Tells a waiting client why nothing will come. The clients of this socket speak HTTP, so they get Docker's error body:
 * `docker` then prints "Error response from daemon: …" with our words instead of a bare EOF.
 */
export function refuse(client: Socket, message: string): void {
  if (client.destroyed) return;
  const body = `${JSON.stringify({ message })}\n`;
  client.on('error', () => client.destroy());
  client.end(
    'HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  client.resume();
  // A client that never closes its side must not hold the app.
  setTimeout(() => client.destroy(), 2_000).unref();
}
