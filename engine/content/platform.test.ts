import { describe, expect, it } from 'vitest';

import type { Digest } from '../store/digest.ts';
import type { Descriptor } from './oci.ts';
import { choose, formatPlatform, parsePlatform } from './platform.ts';

const host = { os: 'linux', architecture: 'amd64' };
const entry = (text: string): Descriptor => {
  const [os = '', architecture = '', variant] = text.split('/');
  return {
    mediaType: '',
    digest: text as Digest,
    size: 0,
    platform: { os, architecture, ...(variant ? { variant } : {}) },
  };
};
const pick = (wanted: string, ...offered: string[]) => choose(offered.map(entry), parsePlatform(wanted, host))?.digest;

describe('a platform', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['arm64', 'linux/arm64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux', 'linux/amd64'],
    ['linux/arm/7', 'linux/arm/v7'],
  ])('%s means %s', (text, meaning) => {
    expect(formatPlatform(parsePlatform(text, host))).toBe(meaning);
  });

  it('is refused when malformed', () => {
    expect(() => parsePlatform('a/b/c/d')).toThrow(/is an invalid OS\/Arch/);
    expect(() => parsePlatform('linux/ä')).toThrow(/is an invalid OS\/Arch/);
  });

  it('chooses the best of an index that can run', () => {
    expect(pick('linux/amd64', 'linux/arm64', 'linux/amd64')).toBe('linux/amd64');
    expect(pick('linux/arm64', 'linux/arm64/v8')).toBe('linux/arm64/v8');
    expect(pick('linux/arm/v7', 'linux/arm/v5', 'linux/arm/v6')).toBe('linux/arm/v6');
    expect(pick('linux/arm/v6', 'linux/arm/v7')).toBeUndefined();
    expect(pick('linux/arm64', 'linux/arm/v7')).toBe('linux/arm/v7');
    expect(pick('linux/amd64', 'windows/amd64', 'unknown/unknown')).toBeUndefined();
    expect(pick('linux/amd64', 'linux/amd64/v3', 'linux/amd64')).toBe('linux/amd64');
  });
});
