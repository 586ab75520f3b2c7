import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const PERL = '/usr/bin/perl';

/**
 * A volume driver and authorization plugin that serves Docker's plugin protocol on its socket. It keeps a log of what it was asked, each line beginning with
 * the setting PREFIX. Volumes are folders below /data; with the option `tmpfs=1` they are mounts that it makes in /mnt. What has `forbidden` in its address is not allowed.
 */
const PROGRAM = String.raw`
use IO::Socket::UNIX;
use POSIX ();
$| = 1;
$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';
my ($mount, $umount) = (POSIX::uname())[4] eq 'aarch64' ? (40, 39) : (165, 166);
my $path = '/run/docker/plugins/toy.sock';
unlink $path;
mkdir $_ for '/data', '/data/log';
my $server = IO::Socket::UNIX->new(Local => $path, Listen => 64) or die "cannot listen on $path: $!";
print "the plugin listens with @ARGV\n";
sub place { -d "/mnt/$_[0]" ? "/mnt/$_[0]" : "/data/$_[0]" }
while (1) {
  my $client = $server->accept or next;
  my ($method, $length) = ('', 0);
  while (my $line = <$client>) {
    $method = $1 if $line =~ m{^POST /(\S+)};
    $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
    last if $line =~ /^\r?$/;
  }
  my $body = '';
  read $client, $body, $length if $length;
  my ($name) = $body =~ /"Name":"([^"]*)"/;
  open my $log, '>>', '/data/log/calls';
  print $log ($ENV{PREFIX} // ''), "$method\n";
  close $log;
  my $answer = '{}';
  if ($method eq 'Plugin.Activate') { $answer = '{"Implements":["VolumeDriver"]}' }
  elsif ($method eq 'VolumeDriver.Create') {
    if ($body =~ /"tmpfs":"1"/) {
      mkdir "/mnt/$name";
      my $type = 'tmpfs';
      $answer = qq({"Err":"cannot mount: $!"}) if syscall($mount, $type, "/mnt/$name", $type, 0, 0) < 0;
    } else { mkdir "/data/$name" }
  }
  elsif ($method eq 'VolumeDriver.Remove') {
    if (-d "/mnt/$name") { syscall($umount, "/mnt/$name", 2); rmdir "/mnt/$name" }
    else { unlink glob "/data/$name/*"; rmdir "/data/$name" }
  }
  elsif ($method =~ /VolumeDriver\.(Mount|Path)/) { $answer = '{"Mountpoint":"' . place($name) . '"}' }
  elsif ($method eq 'VolumeDriver.Get') {
    $answer = qq({"Volume":{"Name":"$name","Mountpoint":") . place($name) . '"}}';
    $answer = '{"Err":"no such volume"}' unless -d place($name);
  }
  elsif ($method =~ /^AuthZPlugin/) {
    my $allow = $body =~ m{"RequestUri":"[^"]*forbidden} ? 'false' : 'true';
    $answer = qq({"Allow":$allow,"Msg":"the toy says no"});
  }
  elsif ($method eq 'VolumeDriver.Capabilities') { $answer = '{"Capabilities":{"Scope":"local"}}' }
  elsif ($method eq 'VolumeDriver.List') {
    opendir my $folder, '/data';
    my @names = grep { !/^\./ && $_ ne 'log' } readdir $folder;
    $answer = '{"Volumes":[' . join(',', map { qq({"Name":"$_"}) } @names) . ']}';
  }
  print $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "
    . length($answer) . "\r\n\r\n$answer";
  close $client;
}
`;

/** The plugin's config.json, as a folder for \`docker plugin create\` has it. */
export const SAMPLE_CONFIG = {
  description: 'A toy volume driver',
  documentation: 'https://docs.docker.com/engine/extend/plugins_volume/',
  entrypoint: ['/bin/perl', '/plugin.pl'],
  workdir: '/data',
  interface: { types: ['docker.volumedriver/1.0'], socket: 'toy.sock' },
  network: { type: 'none' },
  propagatedMount: '/mnt',
  linux: { capabilities: ['CAP_SYS_ADMIN'] },
  env: [
    { name: 'PREFIX', description: 'begins each line of its log', settable: ['value'], value: '' },
    { name: 'FIXED', value: '1' },
  ],
  args: { name: 'words', description: 'said at the start', settable: ['value'], value: ['hello'] },
};

/** Makes a folder for `docker plugin create`: perl, which every Debian has, and the plugin above. */
export function makePlugin(folder: string, config: object = SAMPLE_CONFIG): void {
  const root = join(folder, 'rootfs');
  for (const name of ['bin', 'data', 'mnt', 'tmp']) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(PERL, join(root, 'bin/perl'));
  for (const [, library] of execFileSync('ldd', [PERL], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)) {
    const target = join(root, library!);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(library!, target);
  }
  const modules = execFileSync(PERL, ['-e', 'print grep { m{perl-base$} } @INC'], { encoding: 'utf8' });
  cpSync(modules, join(root, modules), { recursive: true, dereference: true });
  writeFileSync(join(root, 'plugin.pl'), PROGRAM);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}
