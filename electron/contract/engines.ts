/** Where a Docker engine is, and how it is reached. Files are named, never their content: no secret is kept here. */
export type EngineAddress =
  /** a unix socket of this computer; on Windows a named pipe */
  | { kind: 'unix'; path: string }
  /** neither encrypted nor authenticated */
  | { kind: 'tcp'; host: string; port: number }
  /** `ca` empty: the authorities that this computer's Node trusts; `cert` and `key` empty: no client certificate */
  | { kind: 'tls'; host: string; port: number; ca: string; cert: string; key: string }
  /**
   * `key` empty: the agent, then the user's usual keys. `hostKey`: the key of the host that the user has accepted, as in
   * known_hosts (`ssh-ed25519 AAAA…`); empty when the user's known_hosts has it.
   */
  | { kind: 'ssh'; host: string; port: number; user: string; key: string; hostKey: string };

/** What the user says of an engine. */
export interface EngineWish {
  name: string;
  address: EngineAddress;
}

export interface EngineEntry {
  /** `skiff` is the engine in Skiff's own machine */
  id: string;
  name: string;
  /** undefined: Skiff's own */
  address: EngineAddress | undefined;
  /** where the published ports of its containers are */
  portHost: string;
}

export interface EngineList {
  /** Skiff's own first */
  engines: EngineEntry[];
  /** the one that was chosen last, in whatever window: a new window begins with it */
  chosen: string;
}

/** Why an engine can't be used. The window has words for each code (`engines.problems`). */
export type EngineProblemCode =
  | 'no-socket' // there is no such socket
  | 'denied' // the socket is not ours to use
  | 'refused' // nobody listens there
  | 'no-host' // the name is not known, or the network has no way to it
  | 'timeout'
  | 'needs-tls' // it closed an unencrypted connection
  | 'not-tls'
  | 'server-certificate' // not signed by the authority, for another name, or expired
  | 'client-certificate' // it wants one, or another one
  | 'file' // one of the named files can't be read or used
  | 'ssh-login'
  | 'ssh-unknown-host'
  | 'ssh-changed-host'
  | 'ssh-docker' // the host has no docker, or its docker can't reach its engine
  | 'too-old' // it speaks no version of the API that we do
  | 'not-docker'
  | 'closed'; // the connection was closed

export interface EngineProblem {
  code: EngineProblemCode;
  /** what the words need: host, path, user, fingerprint … */
  values: Record<string, string>;
  /** the raw text */
  detail: string;
  /** 'ssh-unknown-host': what the address's `hostKey` is to be when the user accepts it */
  hostKey?: string;
}

export type EngineTest =
  | { ok: true; version: string; apiVersion: string; system: string; milliseconds: number }
  | { ok: false; problem: EngineProblem };

/** The engines that the window can look at. What is asked of one of them carries its id (see `protocol.ts`). */
export interface EnginesContract {
  /** the present list at once, then every change */
  watch(): AsyncIterable<EngineList>;
  /** the new one's id */
  add(wish: EngineWish): Promise<string>;
  edit(id: string, wish: EngineWish): Promise<void>;
  /** Only the entry: nothing happens to the engine. */
  remove(id: string): Promise<void>;
  /** Connects once and says what was found. */
  test(address: EngineAddress): Promise<EngineTest>;
  /** Remembers which engine the user looks at. */
  choose(id: string): Promise<void>;
  /** what the docker command knows (its contexts, DOCKER_HOST) and this list does not */
  found(): Promise<EngineWish[]>;
}
