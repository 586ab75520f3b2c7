/** A file of a build context: its text, or more about it. */
export type ContextFile =
  | string
  | {
      readonly content?: string;
      readonly mode?: number;
      readonly link?: string;
      /** A tar of these files. */
      readonly archive?: Readonly<Record<string, string>>;
    };

/** A Dockerfile, what is built with it, and what its image must do. */
export interface Sample {
  readonly name: string;
  readonly dockerfile: string;
  readonly files?: Readonly<Record<string, ContextFile>>;
  /** Arguments of `docker build`. */
  readonly args?: readonly string[];
  /** Arguments after `docker run --rm IMAGE`; none: the image's own command. */
  readonly run?: readonly string[];
  /** What the run prints. */
  readonly prints: string;
  /** Only BuildKit builds it, not dockerd's classic builder; `labs`: not the frontend that dockerd 26 has built in. */
  readonly modern?: true | 'labs';
}

const BASE = 'FROM skiff/welcome\n';
const sh = (script: string): readonly string[] => ['sh', '-c', script];

export const CORPUS: readonly Sample[] = [
  {
    name: 'RUN in shell form',
    dockerfile: `${BASE}RUN echo one > /f\nRUN echo two >> /f`,
    run: ['cat', '/f'],
    prints: 'one\ntwo\n',
  },
  {
    name: 'RUN in exec form',
    dockerfile: `${BASE}RUN ["sh", "-c", "echo $0 > /f"]`,
    run: ['cat', '/f'],
    prints: 'sh\n',
  },
  {
    name: 'continuations with comments and empty lines',
    dockerfile: `${BASE}RUN echo a \\\n# a comment\n\n  b \\\n  c > /f`,
    run: ['cat', '/f'],
    prints: 'a b c\n',
  },
  {
    name: 'Windows line ends',
    dockerfile: `${BASE}RUN echo a \\\r\n  b > /f\r\nENV X=y\r\n`,
    run: sh('cat /f; echo $X'),
    prints: 'a b\ny\n',
  },
  {
    name: 'another escape character',
    dockerfile: '# escape=`\nFROM skiff/welcome\nRUN echo a`\n b > /f\nENV P=C:\\dir',
    run: sh('cat /f; echo "$P"'),
    prints: 'a b\nC:\\dir\n',
  },
  { name: 'CMD as the default command', dockerfile: `${BASE}CMD ["echo", "hello"]`, prints: 'hello\n' },
  { name: 'CMD in shell form', dockerfile: `${BASE}ENV W=world\nCMD echo hello $W`, prints: 'hello world\n' },
  {
    name: 'ENTRYPOINT with CMD as its arguments',
    dockerfile: `${BASE}ENTRYPOINT ["echo", "a"]\nCMD ["b"]`,
    prints: 'a b\n',
  },
  {
    name: 'ENTRYPOINT forgets the CMD of the base',
    dockerfile: `FROM skiff/welcome AS base\nCMD ["lost"]\nFROM base\nENTRYPOINT ["echo", "kept"]`,
    prints: 'kept\n',
  },
  {
    name: 'ENV in both forms, quoted',
    dockerfile: `${BASE}ENV A="a b" B='c  d' C=e\\ f\nENV OLD the rest of the line`,
    run: sh('echo "$A|$B|$C|$OLD"'),
    prints: 'a b|c  d|e f|the rest of the line\n',
  },
  {
    name: 'ENV sees the values from before its line',
    dockerfile: `${BASE}ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc`,
    run: sh('echo $abc $def $ghi'),
    prints: 'bye hello bye\n',
  },
  {
    name: 'defaults and alternatives of variables',
    dockerfile: `${BASE}ENV S=set E=\nENV A=\${U:-u} B=\${S:+s} C=\${E:-e} D=\${E:+x}. F=\\$S`,
    run: sh('echo $A $B $C $D $F'),
    prints: 'u s e . $S\n',
  },
  {
    name: 'patterns and replacement in variables',
    dockerfile: `${BASE}ENV P=a.b.tar.gz\nENV A=\${P%.*} B=\${P%%.*} C=\${P#*.} D=\${P##*.} E=\${P/./-} F=\${P//./-}`,
    run: sh('echo $A $B $C $D $E $F'),
    prints: 'a.b.tar a b.tar.gz gz a-b.tar.gz a-b-tar-gz\n',
    modern: 'labs',
  },
  {
    name: 'ARG with a default',
    dockerfile: `${BASE}ARG V=dflt\nRUN echo $V > /f`,
    run: ['cat', '/f'],
    prints: 'dflt\n',
  },
  {
    name: 'ARG from the command line',
    dockerfile: `${BASE}ARG V=dflt\nRUN echo $V > /f`,
    args: ['--build-arg', 'V=given'],
    run: ['cat', '/f'],
    prints: 'given\n',
  },
  {
    name: 'ARG before FROM',
    dockerfile: 'ARG IMAGE=skiff/welcome\nARG V=outer\nFROM $IMAGE\nARG V\nRUN echo $V > /f',
    run: ['cat', '/f'],
    prints: 'outer\n',
  },
  {
    name: 'ENV wins over ARG',
    dockerfile: `${BASE}ENV V=env\nARG V=arg\nRUN echo $V > /f`,
    run: ['cat', '/f'],
    prints: 'env\n',
  },
  {
    name: 'platform arguments',
    dockerfile: `${BASE}ARG TARGETOS\nARG TARGETPLATFORM\nRUN echo $TARGETOS $TARGETPLATFORM | cut -d/ -f1 > /f`,
    run: ['cat', '/f'],
    prints: 'linux linux\n',
    modern: true,
  },
  {
    name: 'proxy arguments without a declaration',
    dockerfile: `${BASE}RUN echo $http_proxy > /f`,
    args: ['--build-arg', 'http_proxy=http://127.0.0.1:1'],
    run: ['cat', '/f'],
    prints: 'http://127.0.0.1:1\n',
  },
  {
    name: 'LABEL and --label',
    dockerfile: `${BASE}LABEL a=b "c d"="e f"`,
    args: ['--label', 'g=h'],
    run: ['true'],
    prints: '',
  },
  {
    name: 'EXPOSE, VOLUME, STOPSIGNAL and MAINTAINER',
    dockerfile: `${BASE}MAINTAINER somebody\nARG P=90\nEXPOSE $P 100-102 53/udp\nVOLUME /data /more\nVOLUME ["/v w"]\nSTOPSIGNAL SIGUSR1`,
    run: ['true'],
    prints: '',
  },
  {
    name: 'USER and a group',
    dockerfile: `${BASE}RUN echo app:x:1000: >> /etc/group; echo app:x:1000:1000::/home:/bin/sh >> /etc/passwd\nUSER app:app\nRUN id -u > /tmp/f; id -g >> /tmp/f`,
    run: ['cat', '/tmp/f'],
    prints: '1000\n1000\n',
  },
  {
    name: 'WORKDIR, relative and with variables',
    dockerfile: `${BASE}ENV D=dir\nWORKDIR /a\nWORKDIR b/$D\nRUN pwd > f`,
    run: sh('pwd; cat f'),
    prints: '/a/b/dir\n/a/b/dir\n',
  },
  {
    name: 'SHELL',
    dockerfile: `${BASE}SHELL ["/bin/sh", "-e", "-c"]\nRUN case $- in *e*) echo strict > /f;; esac\nCMD cat /f`,
    prints: 'strict\n',
  },
  {
    name: 'HEALTHCHECK',
    dockerfile: `${BASE}HEALTHCHECK --interval=1m30s --timeout=3s --start-period=2s --retries=4 CMD true`,
    run: ['true'],
    prints: '',
  },
  { name: 'HEALTHCHECK NONE', dockerfile: `${BASE}HEALTHCHECK CMD true\nHEALTHCHECK NONE`, run: ['true'], prints: '' },
  {
    name: 'COPY of a file, to a file and into a directory',
    dockerfile: `${BASE}COPY a.txt /x\nCOPY a.txt /d/\nCOPY a.txt b.txt /e/`,
    files: { 'a.txt': 'A', 'b.txt': 'B' },
    run: sh('cat /x /d/a.txt /e/a.txt /e/b.txt'),
    prints: 'AAAB',
  },
  {
    name: 'COPY of a directory brings its content',
    dockerfile: `${BASE}COPY dir /d\nCOPY . /all/`,
    files: { 'dir/a': '1', 'dir/sub/b': '2' },
    run: sh('cat /d/a /d/sub/b /all/dir/a'),
    prints: '121',
  },
  {
    name: 'COPY with patterns',
    dockerfile: `${BASE}COPY *.txt d?r/[a-b] /d/`,
    files: { 'a.txt': '1', 'b.txt': '2', 'c.md': '3', 'dir/a': '4', 'dir/c': '5' },
    run: sh('cd /d; ls'),
    prints: 'a\na.txt\nb.txt\n',
  },
  {
    name: 'COPY in JSON form, names with blanks',
    dockerfile: `${BASE}COPY ["a b.txt", "/c d/"]`,
    files: { 'a b.txt': 'x' },
    run: ['cat', '/c d/a b.txt'],
    prints: 'x',
  },
  {
    name: 'COPY keeps modes and gives files to root',
    dockerfile: `${BASE}COPY run.sh /\nRUN /run.sh > /f`,
    files: { 'run.sh': { content: '#!/bin/sh\necho ran', mode: 0o755 } },
    run: sh('cat /f; stat -c "%a %u %g" /run.sh'),
    prints: 'ran\n755 0 0\n',
  },
  {
    name: 'COPY --chown by name and by number',
    dockerfile: `${BASE}COPY --chown=nobody:nogroup a /a\nCOPY --chown=12:34 a /b\nCOPY --chown=56 a /new/c`,
    files: { a: 'x' },
    run: ['stat', '-c', '%u:%g', '/a', '/b', '/new', '/new/c'],
    prints: '65534:65534\n12:34\n56:56\n56:56\n',
  },
  {
    name: 'COPY --chmod',
    dockerfile: `${BASE}COPY --chmod=640 a /a`,
    files: { a: 'x' },
    run: ['stat', '-c', '%a', '/a'],
    prints: '640\n',
    modern: true,
  },
  {
    name: 'COPY of symlinks',
    dockerfile: `${BASE}COPY dir /d\nCOPY dir/link /copied`,
    files: { 'dir/target': 'T', 'dir/link': { link: 'target' } },
    run: sh('readlink /d/link; cat /copied; test -L /copied || echo file'),
    prints: 'target\nTfile\n',
  },
  {
    name: 'COPY through a symlink of the image',
    dockerfile: `${BASE}RUN mkdir /real && ln -s /real /alias\nCOPY a /alias/a\nCOPY a /sbin/`,
    files: { a: 'x' },
    run: sh('cat /real/a; test -L /sbin && cat /bin/a'),
    prints: 'xx',
  },
  {
    name: 'COPY to a relative place',
    dockerfile: `${BASE}WORKDIR /w\nCOPY a .\nCOPY a sub/b`,
    files: { a: 'x' },
    run: sh('cat /w/a /w/sub/b'),
    prints: 'xx',
  },
  {
    name: 'COPY --parents',
    dockerfile: `${BASE}COPY --parents x/y/a.txt ./x/./y/b.txt /d/`,
    files: { 'x/y/a.txt': '1', 'x/y/b.txt': '2' },
    run: sh('cat /d/x/y/a.txt /d/y/b.txt'),
    prints: '12',
    modern: 'labs',
  },
  {
    name: 'COPY --exclude',
    dockerfile: `${BASE}COPY --exclude=*.md --exclude=sub/x . /d/`,
    files: { 'a.txt': '1', 'b.md': '2', 'sub/x': '3', 'sub/y': '4' },
    run: sh('cd /d; find . -type f | sort | grep -v Dockerfile'),
    prints: './a.txt\n./sub/y\n',
    modern: 'labs',
  },
  {
    name: 'COPY --link',
    dockerfile: `${BASE}COPY --link a /l/a`,
    files: { a: 'x' },
    run: ['cat', '/l/a'],
    prints: 'x',
    modern: true,
  },
  {
    name: 'COPY of a here-document',
    dockerfile: `${BASE}ENV V=val\nCOPY <<EOF <<"RAW" /d/\nexpanded $V\nEOF\nraw $V\nRAW`,
    run: sh('cat /d/EOF /d/RAW'),
    prints: 'expanded val\nraw $V\n',
    modern: true,
  },
  {
    name: 'RUN of a here-document',
    dockerfile: `${BASE}RUN <<EOF\necho one > /f\necho two >> /f\nEOF`,
    run: ['cat', '/f'],
    prints: 'one\ntwo\n',
    modern: true,
  },
  {
    name: 'RUN of a here-document with an interpreter, and one as input',
    dockerfile: `${BASE}RUN <<EOF\n#!/bin/sh\necho script > /f\nEOF\nRUN cat <<-X >> /f\n\tinput\n\tX`,
    run: ['cat', '/f'],
    prints: 'script\ninput\n',
    modern: true,
  },
  {
    name: '.dockerignore with an exception',
    dockerfile: `${BASE}COPY . /d/`,
    files: {
      '.dockerignore': '# all\n**/*.log\n!keep.log\nsecret\n',
      'a.log': '1',
      'keep.log': '2',
      'deep/b.log': '3',
      'secret/x': '4',
      ok: '5',
    },
    run: sh('cd /d; find . -type f | sort'),
    prints: './.dockerignore\n./Dockerfile\n./keep.log\n./ok\n',
  },
  {
    name: 'stages and COPY --from by name and number',
    dockerfile:
      'FROM skiff/welcome AS one\nRUN echo 1 > /f; chown 7:8 /f\nFROM skiff/welcome\nRUN echo 2 > /f\nFROM skiff/welcome\nCOPY --from=one /f /f1\nCOPY --from=1 /f /f2',
    run: sh('cat /f1 /f2; stat -c %u:%g /f1'),
    prints: '1\n2\n7:8\n',
  },
  {
    name: 'COPY --from of an image',
    dockerfile:
      'FROM scratch\nCOPY --from=skiff/welcome /bin/busybox /busybox\nENTRYPOINT ["/busybox", "echo"]\nCMD ["tiny"]',
    prints: 'tiny\n',
  },
  {
    name: 'a target in the middle',
    dockerfile: 'FROM skiff/welcome AS a\nCMD ["echo", "a"]\nFROM a AS b\nCMD ["echo", "b"]\nFROM b\nRUN false',
    args: ['--target', 'b'],
    prints: 'b\n',
  },
  {
    name: 'a stage that nothing needs is not built',
    dockerfile: 'FROM skiff/welcome AS a\nRUN false\nFROM skiff/welcome\nCMD ["echo", "fine"]',
    prints: 'fine\n',
    modern: true,
  },
  {
    name: 'ADD unpacks a local archive, COPY does not',
    dockerfile: `${BASE}RUN ln -s /real /alias && mkdir /real\nADD a.tar /alias/\nADD a.tar plain.txt /\nCOPY a.tar /copied.tar\nADD --chown=1:2 a.tar /own`,
    files: { 'plain.txt': 'no archive', 'a.tar': { archive: { 'sub/': '', 'sub/f': 'in', 'bin/extra': 'x' } } },
    run: sh(
      'cat /plain.txt /real/sub/f /sub/f; tar xOf /copied.tar sub/f; stat -c "%u:%g %a" /sub/f /own/sub; ls /bin/extra',
    ),
    prints: 'no archiveininin11:12 750\n11:12 750\n/bin/extra\n',
  },
  {
    name: 'RUN with a cache mount',
    dockerfile: `${BASE}RUN --mount=type=cache,target=/c echo kept > /c/f\nRUN --mount=type=cache,target=/c cat /c/f > /f; ls /c > /g`,
    run: sh('cat /f /g; test -e /c || echo gone'),
    prints: 'kept\nf\ngone\n',
    modern: true,
  },
  {
    name: 'RUN with a bind mount of the context',
    dockerfile: `${BASE}RUN --mount=type=bind,source=dir,target=/m cat /m/a > /f; touch /m/b 2>/dev/null || echo readonly >> /f`,
    files: { 'dir/a': 'A\n' },
    run: sh('cat /f; test -e /m || echo gone'),
    prints: 'A\nreadonly\ngone\n',
    modern: true,
  },
  {
    name: 'RUN with a bind mount of a stage',
    dockerfile:
      'FROM skiff/welcome AS s\nRUN mkdir /o; echo out > /o/f\nFROM skiff/welcome\nRUN --mount=from=s,source=/o,target=/m cp /m/f /f',
    run: ['cat', '/f'],
    prints: 'out\n',
    modern: true,
  },
  {
    name: 'RUN with tmpfs, and a secret that is not there',
    dockerfile: `${BASE}RUN --mount=type=tmpfs,target=/t --mount=type=secret,id=s echo x > /t/x && grep -c " /t tmpfs" /proc/mounts > /f`,
    run: sh('cat /f; ls /t 2>/dev/null | wc -l'),
    prints: '1\n0\n',
    modern: true,
  },
  {
    name: 'COPY --link replaces a symlink with a directory',
    dockerfile: `${BASE}RUN mkdir /real\nCOPY --link --chown=3:4 --chmod=711 dir /l/\nCOPY --link a /l/sub/a`,
    files: { a: 'x', 'dir/b': 'y' },
    run: ['stat', '-c', '%a %u:%g', '/l', '/l/b', '/l/sub', '/l/sub/a'],
    prints: '755 3:4\n711 3:4\n755 0:0\n644 0:0\n',
    modern: true,
  },
  {
    name: 'COPY --chmod of a directory, ADD --chmod',
    dockerfile: `${BASE}COPY --chmod=750 dir /d\nADD --chmod=601 --chown=8:9 a /a`,
    files: { a: 'x', 'dir/b': 'y', 'dir/sub/c': 'z' },
    run: ['stat', '-c', '%a %u:%g', '/d/b', '/d/sub', '/d/sub/c', '/a'],
    prints: '750 0:0\n750 0:0\n750 0:0\n601 8:9\n',
    modern: true,
  },
  {
    name: 'here-documents with modes, owners and tabs',
    dockerfile: `${BASE}COPY --chmod=755 --chown=1:2 <<-"ONE" /bin/one\n\t#!/bin/sh\n\techo ran\n\tONE\nADD <<two <<three /d/\n2\ntwo\n3\nthree\nRUN one > /out`,
    run: sh('stat -c "%a %u:%g" /bin/one; cat /out /d/two /d/three'),
    prints: '755 1:2\nran\n2\n3\n',
    modern: true,
  },
  {
    name: 'RUN with a here-document as input of a command',
    dockerfile: `${BASE}ENV V=val\nRUN cat <<EOF > /f && cat <<'RAW' >> /f\n$V $(echo sub)\nEOF\n$V\nRAW`,
    run: ['cat', '/f'],
    prints: 'val sub\n$V\n',
    modern: true,
  },
  {
    name: 'RUN with a mount that may be written, and is forgotten',
    dockerfile: `${BASE}RUN --mount=type=bind,target=/m,rw echo new > /m/f && cat /m/f > /g\nRUN --mount=type=bind,target=/m ls /m > /h`,
    files: { f: 'old' },
    run: sh('cat /g; grep -c f /h'),
    prints: 'new\n2\n',
    modern: true,
  },
  {
    name: 'RUN with a cache of an owner, and one from a stage',
    dockerfile: `FROM skiff/welcome AS s\nRUN mkdir /o; echo first > /o/f\n${BASE}RUN --mount=type=cache,id=own,target=/c,uid=5,gid=6,mode=0711 stat -c "%a %u:%g" /c > /f\nRUN --mount=type=cache,id=staged,target=/c,from=s,source=/o cat /c/f >> /f`,
    run: ['cat', '/f'],
    prints: '711 5:6\nfirst\n',
    modern: true,
  },
  {
    name: 'platform arguments of both sides',
    dockerfile: `FROM --platform=$BUILDPLATFORM skiff/welcome AS b\nARG BUILDOS\nARG BUILDARCH\nARG TARGETARCH\nRUN test "$BUILDARCH" = "$TARGETARCH" && echo $BUILDOS > /f\n${BASE}COPY --from=b /f /f\nARG TARGETVARIANT\nRUN echo "[$TARGETVARIANT]" >> /f`,
    run: ['cat', '/f'],
    prints: 'linux\n[]\n',
    modern: true,
  },
  {
    name: 'ARG with several names, used by the next',
    dockerfile: `${BASE}ARG A=1 B=2\nARG C=$A$B\nRUN echo $A $B $C > /f`,
    args: ['--build-arg', 'B=3'],
    run: ['cat', '/f'],
    prints: '1 3 13\n',
    modern: true,
  },
  {
    name: 'RUN --network=none',
    dockerfile: `${BASE}RUN --network=none ls /sys/class/net | tr "\\n" " " > /f`,
    run: sh('grep -c eth0 /f || true'),
    prints: '0\n',
    modern: true,
  },
  {
    name: 'files that are removed and replaced',
    dockerfile: `${BASE}RUN mkdir /d && echo 1 > /d/a && echo 2 > /d/b\nRUN rm /d/a && rm -r /d && mkdir /d && echo 3 > /d/c`,
    run: ['ls', '/d'],
    prints: 'c\n',
  },
  {
    name: 'a name for the Dockerfile',
    dockerfile: `${BASE}RUN false`,
    files: { 'sub/Other': `${BASE}CMD ["echo", "other"]` },
    args: ['-f', 'sub/Other'],
    prints: 'other\n',
  },
];
