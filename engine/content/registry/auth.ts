import { errorFromAnswer, RegistryError } from './errors.ts';
import { readBody, type Transport } from './transport.ts';

/** swagger: AuthConfig. */
export interface Credentials {
  readonly username?: string;
  readonly password?: string;
  /** base64 of `user:password`, as config files have it. */
  readonly auth?: string;
  /** A refresh token that replaces the password. */
  readonly identitytoken?: string;
  /** Sent as it is. */
  readonly registrytoken?: string;
  readonly serveraddress?: string;
}

/**
 * Decodes X-Registry-Auth (base64url of an AuthConfig). What can't be read counts as none, as Docker does for the sake of
 * old clients.
 */
export function decodeCredentials(header: string | undefined): Credentials {
  if (!header) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(header, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? unpackAuth(value as Credentials) : {};
  } catch {
    return {};
  }
}

function unpackAuth(credentials: Credentials): Credentials {
  if (!credentials.auth || credentials.username) return credentials;
  const text = Buffer.from(credentials.auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? credentials : { ...credentials, username: text.slice(0, colon), password: text.slice(colon + 1) };
}

export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** WWW-Authenticate (RFC 9110 §11.6.1); several challenges may share one header. */
export function parseChallenges(header: string | undefined): Challenge[] {
  const challenges: Challenge[] = [];
  const pattern = /(?:^|,)\s*([A-Za-z]+)(?=\s+[\w-]+=|\s*(?:,|$))|([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g;
  let parameters: Record<string, string> = {};
  for (const [, scheme, name, quoted, plain] of (header ?? '').matchAll(pattern)) {
    if (scheme !== undefined) {
      parameters = {};
      challenges.push({ scheme: scheme.toLowerCase(), parameters });
    } else if (name !== undefined) {
      parameters[name.toLowerCase()] = quoted === undefined ? (plain as string) : quoted.replace(/\\(.)/g, '$1');
    }
  }
  return challenges;
}

interface Token {
  readonly value: string;
  /** performance.now() after which it is not used any more. */
  readonly until: number;
}

const CLIENT_ID = 'docker';
const DEFAULT_LIFE_S = 60;
const MARGIN_S = 10;
const TOKEN_LIMIT = 1024 * 1024;

/**
 * Answers a registry's challenges for one set of credentials: Basic, or Bearer tokens from the realm it names
 * (distribution spec, auth/token). Tokens are kept until shortly before they expire, so a long pull renews them.
 */
export class Authorizer {
  readonly #transport: Transport;
  readonly #credentials: Credentials;
  readonly #tokens = new Map<string, Token>();
  readonly #fetching = new Map<string, Promise<Token>>();
  #challenge: Challenge | undefined;

  constructor(transport: Transport, credentials: Credentials) {
    this.#transport = transport;
    this.#credentials = credentials;
  }

  /** The header for a request, as far as challenges so far tell; undefined before the first one. */
  async header(scopes: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    if (this.#credentials.registrytoken) return `Bearer ${this.#credentials.registrytoken}`;
    const challenge = this.#challenge;
    if (!challenge) return undefined;
    if (challenge.scheme === 'basic') return this.#basic();
    return `Bearer ${await this.#token(challenge, scopes, signal)}`;
  }

  /** Learns from a 401. Returns whether another try makes sense. */
  learn(header: string | string[] | undefined, scopes: readonly string[], hadAuthorization: boolean): boolean {
    const challenges = parseChallenges(Array.isArray(header) ? header.join(', ') : header);
    const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.realm);
    const basic = challenges.find(({ scheme }) => scheme === 'basic');
    const chosen = bearer ?? basic;
    if (!chosen || this.#credentials.registrytoken) return false;
    this.#challenge = chosen;
    if (chosen === basic) {
      if (!this.#basic()) throw new RegistryError('no basic auth credentials', { status: 401, code: 'NO_CREDENTIALS' });
      return !hadAuthorization;
    }
    // A token that was refused is worth nothing, whatever its date says.
    this.#tokens.delete(scopes.join(' '));
    return true;
  }

  #basic(): string | undefined {
    const { username, password } = this.#credentials;
    if (!username || password === undefined) return undefined;
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  async #token(challenge: Challenge, scopes: readonly string[], signal: AbortSignal): Promise<string> {
    const key = scopes.join(' ');
    const known = this.#tokens.get(key);
    if (known && performance.now() < known.until) return known.value;
    // Parallel layers share one request.
    let fetching = this.#fetching.get(key);
    if (!fetching) {
      fetching = this.fetchToken(challenge, scopes, signal).finally(() => this.#fetching.delete(key));
      this.#fetching.set(key, fetching);
    }
    const token = await fetching;
    this.#tokens.set(key, token);
    return token.value;
  }

  async fetchToken(challenge: Challenge, scopes: readonly string[], signal: AbortSignal): Promise<Token> {
    const { identitytoken } = this.#credentials;
    const realm = realmOf(challenge);
    const answer = identitytoken
      ? await this.#postToken(realm, challenge, scopes, identitytoken, signal)
      : await this.#getToken(realm, challenge, scopes, signal);
    const body = (await readBody(answer, TOKEN_LIMIT)).toString('utf8');
    if (answer.status !== 200) throw errorFromAnswer(answer.status, answer.headers, body, realm.href);
    const { token, access_token, expires_in } = parseToken(body);
    const value = token || access_token;
    if (!value)
      throw new RegistryError('authorization server did not include a token in the response', { status: 401 });
    const life = Math.max(DEFAULT_LIFE_S, Number(expires_in) || DEFAULT_LIFE_S);
    return { value, until: performance.now() + (life - MARGIN_S) * 1000 };
  }

  #getToken(realm: URL, challenge: Challenge, scopes: readonly string[], signal: AbortSignal) {
    const url = new URL(realm);
    const { service } = challenge.parameters;
    if (service) url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    const basic = this.#basic();
    if (basic) url.searchParams.set('account', this.#credentials.username as string);
    return this.#transport.request(url, { headers: basic ? { authorization: basic } : {}, signal });
  }

  #postToken(realm: URL, challenge: Challenge, scopes: readonly string[], refresh: string, signal: AbortSignal) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refresh,
      service: challenge.parameters.service ?? '',
      client_id: CLIENT_ID,
      scope: scopes.join(' '),
    });
    return this.#transport.request(realm, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
      signal,
    });
  }
}

export function realmOf(challenge: Challenge): URL {
  try {
    const url = new URL(challenge.parameters.realm ?? '');
    if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  } catch {
    // Told below.
  }
  throw new RegistryError(`invalid token auth challenge realm: ${challenge.parameters.realm}`, { status: 401 });
}

export interface TokenAnswer {
  readonly token?: string;
  readonly access_token?: string;
  readonly refresh_token?: string;
  readonly expires_in?: number;
}

export function parseToken(body: string): TokenAnswer {
  try {
    return JSON.parse(body) as TokenAnswer;
  } catch (error) {
    throw new RegistryError('unable to decode token response', { status: 401, cause: error });
  }
}
