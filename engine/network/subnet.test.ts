import { describe, expect, test } from 'vitest';

import { AddressPool } from './address-pool.ts';
import { canonicalIp, containsIp, nthSubnet, overlaps, parseSubnet, subnetText } from './subnet.ts';

describe('subnets of both families', () => {
  test.each([
    ['fd00:0:0:0:0:0:0:1', 'fd00::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::', '::'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['10.0.0.255', '10.0.0.255'],
  ])('%s is written %s', (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical);
  });

  test('they contain, overlap and are cut', () => {
    const four = parseSubnet('10.1.2.3/16');
    expect(subnetText(four)).toBe('10.1.0.0/16');
    expect(containsIp(four, '10.1.255.255')).toBe(true);
    expect(containsIp(four, 'fd00::1')).toBe(false);
    expect(overlaps(four, parseSubnet('10.0.0.0/8'))).toBe(true);
    expect(overlaps(parseSubnet('fd00::/64'), parseSubnet('fd00:0:0:1::/64'))).toBe(false);
    expect(subnetText(nthSubnet(parseSubnet('fd12:3456:789a::/48'), 64, 3n))).toBe('fd12:3456:789a:3::/64');
  });

  test('an address is given once, and again only after it came back', () => {
    const pool = new AddressPool(parseSubnet('10.0.0.0/29'), parseSubnet('10.0.0.4/30'));
    expect([pool.allocate(), pool.allocate(), pool.allocate()]).toEqual(['10.0.0.4', '10.0.0.5', '10.0.0.6']);
    expect(() => pool.allocate()).toThrow("no available IPv4 addresses on this network's address pools");
    expect(() => pool.allocate('10.0.0.5')).toThrow('Address already in use');
    pool.release('10.0.0.5');
    expect(pool.allocate()).toBe('10.0.0.5');
    const six = new AddressPool(parseSubnet('fd00::/64'));
    six.reserve('fd00:0::1');
    expect(six.allocate()).toBe('fd00::2');
  });
});
