import http from 'node:http';

/** What to do to one request; undefined passes it on as it is. */
export interface Fault {
  /** Break the connection after so many bytes of the body. */
  readonly cutAfter?: number;
  /** Answer with this instead. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Change bytes of the body. */
  readonly corrupt?: boolean;
  /** Pass on without what the client asked of ranges. */
  readonly ignoreRange?: boolean;
  /** Wait before passing on. */
  readonly delayMs?: number;
}

export interface FaultyProxy extends AsyncDisposable {
  readonly host: string;
  /** `METHOD path` of all requests, with the range asked for. */
  readonly log: string[];
  /** Asked for each request; set anew for each test. */
  fault: (request: { method: string; url: string; range: string | undefined; count: number }) => Fault | undefined;
}

/** A reverse proxy before a registry that breaks what it is told to. */
export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const log: string[] = [];
  const counts = new Map<string, number>();
  const server = http.createServer((request, response) => {
    const { method = 'GET', url = '/' } = request;
    const range = request.headers.range;
    log.push(`${method} ${url}${range ? ` ${range}` : ''}`);
    const count = (counts.get(`${method} ${url}`) ?? 0) + 1;
    counts.set(`${method} ${url}`, count);
    const fault = proxy.fault({ method, url, range, count });
    if (fault?.status) {
      request.resume();
      response.writeHead(fault.status, fault.headers).end();
      return;
    }
    const headers = { ...request.headers };
    if (fault?.ignoreRange) delete headers.range;
    setTimeout(() => forward(request, response, headers, fault), fault?.delayMs ?? 0);
  });
  const forward = (
    request: http.IncomingMessage,
    response: http.ServerResponse,
    headers: http.IncomingHttpHeaders,
    fault: Fault | undefined,
  ) => {
    const [host, port] = target.split(':');
    const upstream = http.request({ host, port, method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      let sent = 0;
      answer.on('data', (chunk: Buffer) => {
        let piece = chunk;
        if (fault?.corrupt) {
          piece = Buffer.from(chunk);
          piece[0] = (piece[0] as number) ^ 1;
        }
        if (fault?.cutAfter !== undefined && sent + piece.length > fault.cutAfter) {
          response.write(piece.subarray(0, fault.cutAfter - sent), () => response.destroy());
          answer.destroy();
          return;
        }
        sent += piece.length;
        response.write(piece);
      });
      answer.on('end', () => response.end());
    });
    upstream.on('error', () => response.destroy());
    let received = 0;
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (request.method === 'PATCH' && fault?.cutAfter !== undefined && received > fault.cutAfter) {
        upstream.end();
        request.destroy();
        return;
      }
      upstream.write(chunk);
    });
    request.on('end', () => upstream.end());
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  const proxy: FaultyProxy = {
    host: `127.0.0.1:${address.port}`,
    log,
    fault: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
