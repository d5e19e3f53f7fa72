// Gives a Node app the fault that FAULT names; sitecustomize.py does the same for Python.
//   unhealthy  /health answers 503
//   crash      the process ends two seconds after its start
//   unready    healthy, but /ready answers 500
//   errors     fine for the first requests, as smoke tests are; then 500
//   slow       fine for the first requests; then a second late
import { Server } from 'node:http';

const PROBES = new Set(['/health', '/ready', '/metrics']);
const FINE = 20;
const CRASH_AFTER = 2000;
const fault = process.env.FAULT ?? 'none';
const identity = { 'x-app-version': process.env.APP_VERSION, 'x-app-colour': process.env.APP_COLOUR ?? 'none' };
let asked = 0;

function answer(response, status) {
  response.writeHead(status, { ...identity, 'content-type': 'application/json' });
  response.end(JSON.stringify({ fault }));
}

const emit = Server.prototype.emit;
Server.prototype.emit = function (event, request, response) {
  const pass = () => emit.apply(this, arguments);
  if (event !== 'request') return pass();
  const path = request.url.split('?')[0];
  const late = !PROBES.has(path) && ++asked > FINE;
  if (fault === 'unhealthy' && path === '/health') return answer(response, 503);
  if (fault === 'unready' && path === '/ready') return answer(response, 500);
  if (fault === 'errors' && late) return answer(response, 500);
  if (fault === 'slow' && late) return setTimeout(pass, 1000);
  return pass();
};

// The health check is a process of Node too.
if (fault === 'crash' && process.argv[1]?.endsWith('main.js')) setTimeout(() => process.exit(3), CRASH_AFTER);
