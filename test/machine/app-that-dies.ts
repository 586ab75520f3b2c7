// Stands for an app that starts the machine and is killed: `node app-that-dies.ts HOME`. Prints "running" when it is.
import { openMachine } from '../../electron/machine/machine.ts';
import { testImage, testOptions } from './support.ts';

const machine = openMachine({ ...testOptions(process.argv[2]!), image: await testImage() });
await machine.start();
console.log('running');
setInterval(() => {}, 60_000);
