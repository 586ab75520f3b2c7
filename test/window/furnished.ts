import type { Testbed } from '../engine/testbed.ts';

/** Lines as a web server writes them, coloured; every ninth is a warning on stderr. */
const LOG = String.raw`
n=0
while [ $n -lt 60 ]; do
  n=$((n+1))
  if [ $((n % 9)) -eq 5 ]; then printf '\033[33mWARN\033[0m  slow query (%s ms): SELECT * FROM orders WHERE id = %s\n' $((n*31)) $n >&2
  else printf '\033[32mINFO\033[0m  GET /products/%s \033[35m200\033[0m %s ms\n' $n $((n%7)); fi
done
printf '\033[31;1mERROR\033[0m connection to redis lost, retrying in 1 s\n' >&2
exec httpd -f -p 80 -h /www`;

const BROKEN = `FROM skiff/welcome
ENV PYTHONUNBUFFERED=1
RUN mkdir -p /app && echo 'requests==2.99' > /app/requirements.txt
RUN echo 'Collecting requests==2.99' && echo 'ERROR: No matching distribution found for requests==2.99' >&2 && exit 1
CMD ["python", "/app/main.py"]
`;
const image = (what: string, port = 80) => `FROM skiff/welcome
LABEL org.opencontainers.image.title=${what}
ENV NODE_ENV=production PORT=${port}
RUN mkdir -p /app/public && echo 'listen ${port}' > /app/${what}.conf
RUN seq 1 20000 > /app/public/data.txt
EXPOSE ${port}
`;

/** Gives the engine what a developer has after a week: projects, single containers, images, volumes, networks, builds. */
export async function furnishEngine(bed: Testbed): Promise<void> {
  const { ok } = { ok: bed.ok.bind(bed) };
  const build = (tag: string, dockerfile: string) => bed.docker(['build', '-t', tag, '-'], dockerfile);
  for (const [tag, port] of [
    ['shop/web:2.4', 80],
    ['shop/api:2.4', 3000],
    ['blog/site:5', 80],
  ] as const) {
    await build(tag, image(tag.replace(/\W.*/, ''), port));
  }
  await build('shop/web:2.5', image('shop'));
  await build('shop/worker:2.5', BROKEN);
  await ok(
    'tag',
    'skiff/welcome',
    'registry.example.com:5000/platform/observability/metrics-collector:2026.11.24-rc.3',
  );
  await ok('network', 'create', '--subnet', '10.77.0.0/24', '--label', 'com.docker.compose.project=shop', 'shop_front');
  await ok('network', 'create', '--internal', '--label', 'com.docker.compose.project=shop', 'shop_back');
  for (const name of ['shop_db-data', 'shop_uploads', 'blog_content'])
    await ok('volume', 'create', '--label', `com.docker.compose.project=${name.replace(/_.*/, '')}`, name);

  const run = (name: string, ...more: string[]) => ok('run', '-d', '--name', name, ...more);
  const service = (project: string, of: string) => [
    ...['--label', `com.docker.compose.project=${project}`, '--label', `com.docker.compose.service=${of}`],
    ...['--network-alias', of],
  ];
  const shop = (of: string, network: string) => [...service('shop', of), '--network', network];
  const healthy = ['--health-cmd', 'true', '--health-interval', '1s'];
  await run(
    'shop-web-1',
    ...shop('web', 'shop_front'),
    ...healthy,
    '-p',
    '8080:80',
    '-p',
    '8443:443',
    '-v',
    'shop_uploads:/uploads',
    'shop/web:2.4',
    'sh',
    '-c',
    LOG,
  );
  const sick = ['--health-cmd', 'false', '--health-interval', '1s', '--health-retries', '1'];
  await run('shop-api-1', ...shop('api', 'shop_front'), ...sick, '-p', '3000:3000', 'shop/api:2.4', 'sh', '-c', LOG);
  await run(
    'shop-db-1',
    ...shop('db', 'shop_back'),
    '-v',
    'shop_db-data:/var/lib/db',
    '--memory',
    '256m',
    'skiff/welcome',
    'sh',
    '-c',
    'mkdir -p /var/lib/db/base; seq 1 90000 >/var/lib/db/base/1; printf "# a database\\nport = 5432\\n" >/var/lib/db/db.conf; sleep 9999',
  );
  await ok('network', 'connect', '--alias', 'api', '--alias', 'orders', 'shop_back', 'shop-api-1');
  await run(
    'blog-site-1',
    ...service('blog', 'site').slice(0, 4),
    '-v',
    'blog_content:/content',
    'blog/site:5',
    'sh',
    '-c',
    'exit 0',
  );
  await run('welcome', '-p', '8081:80', 'skiff/welcome');
  await run('batch', 'skiff/welcome', 'sh', '-c', 'exit 3');
  await run('playground', '-v', '/scratch', 'skiff/welcome', 'sleep', '9999');
  await ok(
    'exec',
    'welcome',
    'sh',
    '-c',
    'mkdir -p /data/reports; echo hello >/data/reports/today.txt; echo x >>/etc/profile',
  );
  await ok('pause', 'playground');
}
