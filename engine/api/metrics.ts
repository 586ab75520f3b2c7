import { createServer, type Server } from 'node:http';

import type { Metric } from '../daemon/system/metrics.ts';
import { isLoopback, parseHost } from './hosts.ts';

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** The text exposition format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats). */
export function exposition(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, help, type, samples }) => {
      const lines = samples.map(({ labels = {}, value }) => {
        const pairs = Object.entries(labels).map(([key, text]) => `${key}=${JSON.stringify(text)}`);
        return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`;
      });
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
    })
    .join('');
}

/** `metrics-addr`: GET /metrics, nothing else. It tells no secrets, but how many containers run is nobody's business outside. */
export class MetricsServer {
  readonly #address: string;
  readonly #port: number;
  #server: Server | undefined;

  /** @param text `address:port`. Throws for what isn't one. */
  constructor(text: string) {
    const host = parseHost(`tcp://${text}`, false);
    if (host.kind !== 'tcp') throw new Error(`invalid metrics-addr ${text}`);
    if (!isLoopback(host.address))
      throw new Error(`metrics-addr ${text}: only addresses of this machine's own are allowed`);
    this.#address = host.address;
    this.#port = host.port;
  }

  open(collect: () => readonly Metric[]): Promise<void> {
    const server = createServer((request, response) => {
      if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
        response.writeHead(404).end('404 page not found\n');
        return;
      }
      response.writeHead(200, { 'Content-Type': CONTENT_TYPE });
      response.end(exposition(collect()));
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, this.#address, resolve);
    });
  }

  close(): void {
    this.#server?.close();
  }
}
