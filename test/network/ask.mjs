// Asks for a name as a program in a container would: node ask.mjs SERVER NAME
import { Resolver } from 'node:dns/promises';

const [server, name] = process.argv.slice(2);
const resolver = new Resolver({ timeout: 4000, tries: 2 });
resolver.setServers([server]);
try {
  console.log(JSON.stringify(await resolver.resolve4(name)));
} catch (error) {
  console.log(error.code);
}
