import { canonicalIp } from '../../network/subnet.ts';

const V4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/;
const V6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/;

/** The address that a name of the reverse trees stands for (RFC 1035, 3.5; RFC 3596, 2.5). */
export function addressOfPointer(name: string): string | undefined {
  const four = V4.exec(name);
  if (four) return four.slice(1, 5).reverse().join('.');
  const six = V6.exec(name);
  if (!six) return undefined;
  const digits = six[1]!.replaceAll('.', '').split('').reverse().join('');
  return canonicalIp(digits.match(/.{4}/g)!.join(':'));
}
