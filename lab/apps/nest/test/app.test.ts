// Runs without Redis: what needs it must say so, and everything else must work.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';

process.env.REDIS_HOST = '127.0.0.1';
process.env.REDIS_PORT = '1';
process.env.APP_VERSION = '7';
process.env.APP_COLOUR = 'green';
const { start } = await import('../src/app.js');
const { stop } = await import('../src/shutdown.js');

let app: Awaited<ReturnType<typeof start>>;
let url: string;
before(async () => {
  app = await start(0);
  url = await app.getUrl();
});
after(() => stop(app, 1000));

const post = (body: unknown) =>
  fetch(`${url}/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

test('says which version and colour answered', async () => {
  const response = await fetch(`${url}/version`);
  assert.deepEqual(await response.json(), { app: 'nest', version: '7', colour: 'green' });
  assert.equal(response.headers.get('x-app-version'), '7');
  assert.equal(response.headers.get('x-app-colour'), 'green');
});

test('is healthy but not ready without Redis', async () => {
  assert.equal((await fetch(`${url}/health`)).status, 200);
  assert.equal((await fetch(`${url}/ready`)).status, 503);
});

test('counts requests by declared route', async () => {
  await fetch(`${url}/no-such-path`);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /app_info\{app="nest",version="7",colour="green"\} 1/);
  assert.match(metrics, /http_request_duration_seconds_count\{method="GET",route="unmatched",status="404"\}/);
  assert.doesNotMatch(metrics, /no-such-path/);
});

test('refuses bad jobs before it needs Redis', async () => {
  for (const body of [{}, { text: '' }, { text: 'x'.repeat(2001) }, { text: 'x', seconds: 31 }]) {
    assert.equal((await post(body)).status, 400, JSON.stringify(body).slice(0, 40));
  }
  assert.equal((await post({ text: 'x' })).status, 503);
  assert.equal((await fetch(`${url}/jobs/not-an-id`)).status, 404);
});

test('a shutdown finishes requests, ends streams and closes sockets', async () => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
  await once(socket, 'open');
  socket.send('hello');
  const [message] = await once(socket, 'message');
  assert.deepEqual(JSON.parse(String(message)), { event: 'echo', data: 'hello' });

  const events = await fetch(`${url}/events`);
  const slow = fetch(`${url}/slow?seconds=1`);
  await new Promise((resolve) => setTimeout(resolve, 200));

  const closed = once(socket, 'close');
  const stopped = stop(app, 5000);
  const response = await slow;
  assert.equal(response.headers.get('connection'), 'close');
  assert.equal((await response.json()).slept, 1);
  assert.equal((await closed)[0], 1001);
  assert.match(await events.text(), /"tick":0/);
  assert.equal(await stopped, true);
  await assert.rejects(fetch(`${url}/health`));
});
