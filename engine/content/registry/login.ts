import { DEFAULT_DOMAIN, LEGACY_DOMAIN } from '../reference.ts';

import { type Challenge, type Credentials, parseChallenges, parseToken, realmOf } from './auth.ts';
import type { Registries } from './client.ts';
import { errorFromAnswer, RegistryError } from './errors.ts';
import { type Answer, readBody } from './transport.ts';

const LIMIT = 1024 * 1024;

/** The registry that an auth configuration names: a host, a URL, or Docker Hub's old index URL. */
export function domainOfServer(address: string | undefined): string {
  const host = (address ?? '').replace(/^https?:\/\//, '').split('/')[0] ?? '';
  return host === '' || host === LEGACY_DOMAIN ? DEFAULT_DOMAIN : host;
}

/**
 * Tries credentials at a registry (POST /auth). Returns the identity token that a token server may give in their place.
 * Throws RegistryError with the registry's words when they are refused.
 */
export async function login(
  registries: Registries,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [endpoint] = registries.endpoints(domainOfServer(credentials.serveraddress), true);
  const url = new URL('/v2/', endpoint?.base);
  const first = await registries.request(url, { signal });
  first.body.resume();
  if (first.status === 200) return undefined;
  const header = first.headers['www-authenticate'];
  const challenges = parseChallenges(header);
  const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
  const basic = credentials.username
    ? `Basic ${Buffer.from(`${credentials.username}:${credentials.password ?? ''}`).toString('base64')}`
    : undefined;
  if (!bearer) {
    const answer = await registries.request(url, { headers: basic ? { authorization: basic } : {}, signal });
    await expectOk(answer, url);
    return undefined;
  }
  const { token, refresh } = await getToken(registries, bearer, credentials, basic, signal);
  const answer = await registries.request(url, { headers: { authorization: `Bearer ${token}` }, signal });
  await expectOk(answer, url);
  return refresh;
}

async function getToken(
  registries: Registries,
  challenge: Challenge,
  credentials: Credentials,
  basic: string | undefined,
  signal: AbortSignal,
): Promise<{ token: string; refresh: string | undefined }> {
  const realm = realmOf(challenge);
  const service = challenge.parameters.service ?? '';
  let answer: Answer;
  if (credentials.identitytoken) {
    const form = {
      grant_type: 'refresh_token',
      refresh_token: credentials.identitytoken,
      service,
      client_id: 'docker',
    };
    answer = await registries.transport.request(realm, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(new URLSearchParams(form).toString()),
      signal,
    });
  } else {
    realm.searchParams.set('account', credentials.username ?? '');
    realm.searchParams.set('client_id', 'docker');
    realm.searchParams.set('offline_token', 'true');
    realm.searchParams.set('service', service);
    answer = await registries.transport.request(realm, { headers: basic ? { authorization: basic } : {}, signal });
  }
  const body = (await readBody(answer, LIMIT)).toString('utf8');
  if (answer.status !== 200) throw refused(answer, body, realm);
  const { token, access_token, refresh_token } = parseToken(body);
  return { token: token ?? access_token ?? '', refresh: refresh_token };
}

async function expectOk(answer: Answer, url: URL): Promise<void> {
  const body = (await readBody(answer, LIMIT)).toString('utf8');
  if (answer.status !== 200) throw refused(answer, body, url);
}

function refused(answer: Answer, body: string, url: URL): RegistryError {
  const error = errorFromAnswer(answer.status, answer.headers, body, url.href);
  if (answer.status !== 401) return error;
  return new RegistryError(`Get ${JSON.stringify(url.origin + url.pathname)}: ${error.message}`, {
    status: 401,
    code: 'UNAUTHORIZED',
  });
}

/** swagger: ImageSearchResponseItem. */
export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly is_official: boolean;
  readonly is_automated: boolean;
  readonly star_count: number;
}

/** The v1 search of a registry; without a host in the term Docker Hub's index is asked. */
export async function search(
  registries: Registries,
  term: string,
  limit: number,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<SearchResult[]> {
  const slash = term.indexOf('/');
  const host = slash > 0 && /[.:]|^localhost$/.test(term.slice(0, slash)) ? term.slice(0, slash) : undefined;
  const url = new URL('/v1/search', `https://${host ?? LEGACY_DOMAIN}`);
  const query = host === undefined ? term : term.slice(slash + 1);
  url.searchParams.set('q', query.replace(/^library\//, ''));
  url.searchParams.set('n', String(limit));
  const basic: Record<string, string> = credentials.username
    ? {
        authorization: `Basic ${Buffer.from(`${credentials.username}:${credentials.password ?? ''}`).toString('base64')}`,
      }
    : {};
  const answer = await registries.request(url, { headers: { ...basic, 'x-docker-token': 'true' }, signal });
  const body = (await readBody(answer, 8 * LIMIT)).toString('utf8');
  if (answer.status !== 200)
    throw new RegistryError(`Unexpected status code ${answer.status}`, { status: answer.status });
  const { results } = JSON.parse(body) as { results?: Partial<SearchResult>[] };
  return (results ?? []).map((result) => ({
    name: result.name ?? '',
    description: result.description ?? '',
    is_official: result.is_official ?? false,
    is_automated: false,
    star_count: result.star_count ?? 0,
  }));
}
