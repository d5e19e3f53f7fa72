// Runs the built server without its backends, then with stand-ins: the page must render either way.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

/** @type {import('node:child_process').ChildProcess} */
let frontend;
const backend = createServer((request, response) => {
  const answers = {
    '/search': { embedding: 'test', results: [{ id: 1, title: 'Found it', text: 'text', similarity: 0.5 }] },
    '/jobs': { id: '1-0', state: 'queued' },
    '/jobs/1-0': { id: '1-0', state: 'done', words: 3, by: { app: 'worker', version: '9', colour: 'blue' } },
  };
  const path = /** @type {keyof typeof answers} */ (request.url?.split('?')[0]);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(answers[path]));
});

/** @type {(server: import('node:http').Server) => Promise<number>} */
async function listen(server) {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}

let url = '';
/** @type {number} */
let backendPort;
before(async () => {
  const probe = createServer();
  const port = await listen(probe);
  backendPort = await listen(backend);
  probe.close();
  backend.close();
  url = `http://127.0.0.1:${port}`;
  const backendUrl = `http://127.0.0.1:${backendPort}`;
  const backends = { NEST_URL: backendUrl, FASTAPI_URL: backendUrl };
  const identity = { APP_VERSION: '7', APP_COLOUR: 'green' };
  frontend = spawn(process.execPath, ['--import', './preload.mjs', 'server.js'], {
    cwd: '.next/standalone',
    env: { ...process.env, ...backends, ...identity, HOSTNAME: '127.0.0.1', PORT: `${port}` },
    stdio: 'ignore',
  });
  for (let tries = 0; tries < 100; tries++) {
    if (await fetch(`${url}/health`).then((r) => r.ok, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('The server did not start.');
});
after(() => {
  frontend.kill('SIGKILL');
  backend.close();
});

test('says which version and colour answered', async () => {
  const response = await fetch(`${url}/version`);
  assert.deepEqual(await response.json(), { app: 'frontend', version: '7', colour: 'green' });
  assert.equal(response.headers.get('x-app-version'), '7');
  assert.equal(response.headers.get('x-app-colour'), 'green');
});

test('renders without its backends, and says so', async () => {
  const response = await fetch(url);
  const page = await response.text();
  assert.equal(response.status, 200);
  assert.match(page, /nest does not answer/);
  assert.match(page, /fastapi does not answer/);
});

test('shows what its backends answer', async () => {
  await once(backend.listen(backendPort, '127.0.0.1'), 'listening');
  const page = await (await fetch(`${url}/?q=%3Cb%3E`)).text();
  assert.match(page, /Found it/);
  assert.match(page, /worker 9 · blue/);
  assert.doesNotMatch(page, /<b>/);
});

test('counts its requests', async () => {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /http_request_duration_seconds_count\{method="GET",route="\/",status="200"\} 2/);
});

test('a shutdown finishes requests and exits 0', async () => {
  const slow = fetch(`${url}/slow?seconds=1`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const exited = once(frontend, 'exit');
  frontend.kill('SIGTERM');
  assert.equal((await slow).status, 200);
  assert.deepEqual(await exited, [0, null]);
});
