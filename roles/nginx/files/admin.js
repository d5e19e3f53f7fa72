// What is told of the edge, and what root may change in it. Only the places that answer so load this file.

import edge from 'edge.js';

const COLOURS = ['green', 'blue'];
const BOUNDS = edge.bounds();
const NAME = /^[a-z0-9][a-z0-9-]{0,30}$/;
const COHORT = /^[0-9A-Za-z_-]{0,64}$/;
// How long a writer waits for another one; each is done within a millisecond.
const TRIES = 50;
const PAUSE_MILLISECONDS = 5;

function document(pools) {
  const parts = pools.split(';');
  const apps = {};
  parts.slice(1, -1).forEach((part) => {
    const name = part.slice(0, part.indexOf('='));
    const values = part.slice(name.length + 1).split('/');
    apps[name] = { live: values[0] };
    if (values.length > 1) {
      apps[name].canary = { weight: Number(values[1]) };
      if (values[2]) {
        apps[name].canary.cohort = values[2];
      }
    }
  });
  return { generation: Number(parts[0]), apps: apps };
}

// --- the counts ------------------------------------------------------------------------------------------------------

function nothing() {
  return {
    requests: 0,
    statuses: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
    buckets: new Array(BOUNDS.length + 1).fill(0),
    seconds: 0,
    in_flight: 0,
    websockets: 0,
    streams: 0,
  };
}

// Returns what was counted by application and colour; what is no application of the edge has the colour '-'.
function counted(r) {
  const apps = {};
  const of = (app, colour) => {
    apps[app] = apps[app] || {};
    apps[app][colour] = apps[app][colour] || nothing();
    return apps[app][colour];
  };
  r.variables.edge_apps.split(' ').filter((app) => app).forEach((app) => COLOURS.forEach((colour) => of(app, colour)));
  ngx.shared.counts.items(8192).forEach((item) => {
    const key = item[0].split(' ');
    const counts = of(key[1], key[2]);
    if (key[0] === 'started') {
      counts.in_flight += item[1];
    } else if (key[0] === 'seconds') {
      counts.seconds = item[1];
    } else {
      counts.requests += item[1];
      counts.statuses[key[3]] = (counts.statuses[key[3]] || 0) + item[1];
      if (key[0] === 'done') {
        counts.in_flight -= item[1];
        counts.buckets[Number(key[4])] += item[1];
      }
    }
  });
  sessionsNow().forEach((session) => {
    of(session.app, session.colour)[session.kind === 'websocket' ? 'websockets' : 'streams'] += 1;
  });
  return apps;
}

function sessionsNow() {
  return ngx.shared.sessions.items(8192).map((item) => Object.assign({ id: item[0] }, JSON.parse(item[1])));
}

function metrics(r) {
  const apps = counted(r);
  const now = document(edge.text());
  const requests = [];
  const durations = [];
  const flying = [];
  const live = [];
  Object.keys(apps).sort().forEach((app) => Object.keys(apps[app]).sort().forEach((colour) => {
    const counts = apps[app][colour];
    const labels = `app="${app}",colour="${colour === '-' ? '' : colour}"`;
    Object.keys(counts.statuses).forEach((status) => {
      if (counts.statuses[status]) {
        requests.push(`protostar_nginx_requests_total{${labels},status="${status}"} ${counts.statuses[status]}`);
      }
    });
    let total = 0;
    counts.buckets.forEach((amount, index) => {
      total += amount;
      const bound = index < BOUNDS.length ? BOUNDS[index] : '+Inf';
      durations.push(`protostar_nginx_request_duration_seconds_bucket{${labels},le="${bound}"} ${total}`);
    });
    durations.push(`protostar_nginx_request_duration_seconds_sum{${labels}} ${counts.seconds}`);
    durations.push(`protostar_nginx_request_duration_seconds_count{${labels}} ${total}`);
    if (colour !== '-') {
      flying.push(`protostar_nginx_in_flight{${labels},kind="http"} ${counts.in_flight}`);
      flying.push(`protostar_nginx_in_flight{${labels},kind="websocket"} ${counts.websockets}`);
      flying.push(`protostar_nginx_in_flight{${labels},kind="stream"} ${counts.streams}`);
      const pool = now.apps[app] || { live: 'green' };
      live.push(`protostar_nginx_live{${labels}} ${pool.live === colour ? 1 : 0}`);
    }
  }));
  const family = (name, type, help, samples) =>
    [`# HELP protostar_nginx_${name} ${help}`, `# TYPE protostar_nginx_${name} ${type}`].concat(samples);
  r.headersOut['Content-Type'] = 'text/plain; version=0.0.4; charset=utf-8';
  r.return(200, [].concat(
    family('requests_total', 'counter', 'Answers, by who gave them and the class of their status.', requests),
    family('request_duration_seconds', 'histogram', 'Time from the first byte of a request to its end.', durations),
    family('in_flight', 'gauge', 'Requests, WebSockets and event streams under way.', flying),
    family('live', 'gauge', 'Whether requests are led to this colour.', live),
    family('generation', 'gauge', 'How often colours were changed.', [`protostar_nginx_generation ${now.generation}`]),
    [''],
  ).join('\n'));
}

// --- what root may ask and change, over the socket -------------------------------------------------------------------

function answer(r, status, body) {
  r.headersOut['Content-Type'] = 'application/json';
  r.return(status, JSON.stringify(body));
}

async function pools(r) {
  if (r.method === 'PUT') {
    await put(r);
  } else if (r.method === 'GET') {
    told(r);
  } else {
    answer(r, 405, { error: 'pools are read with GET and set with PUT' });
  }
}

function told(r) {
  answer(r, 200, Object.assign(document(edge.text()), { config: r.variables.edge_config }));
}

async function put(r) {
  let wanted;
  try {
    wanted = JSON.parse(r.requestText);
  } catch (error) {
    answer(r, 400, { error: `the body is no JSON: ${error.message}` });
    return;
  }
  const wrong = fault(wanted);
  if (wrong) {
    answer(r, 400, { error: wrong });
    return;
  }
  for (let tries = 0; tries < TRIES && !ngx.shared.lock.add('writer', ngx.worker_id); tries += 1) {
    if (tries === TRIES - 1) {
      answer(r, 409, { error: 'another writer is at work', generation: document(edge.text()).generation });
      return;
    }
    await new Promise((done) => setTimeout(done, PAUSE_MILLISECONDS));
  }
  const generation = exchange(wanted);
  if (generation === wanted.expected) {
    told(r);
  } else {
    const error = `generation ${wanted.expected} was expected and ${generation} is in force`;
    answer(r, 409, { error: error, generation: generation });
  }
}

// Returns the generation that was in force. Nothing in here waits, so that only another worker could come between: the lock
// keeps that out, and the zone forgets the lock of a worker that died.
function exchange(wanted) {
  try {
    const before = edge.text();
    const generation = document(before).generation;
    if (generation === wanted.expected) {
      ngx.shared.pools.set('text', edge.written(wanted.generation, wanted.apps, before));
    }
    return generation;
  } finally {
    ngx.shared.lock.delete('writer');
  }
}

function mapping(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function fault(wanted) {
  if (!mapping(wanted) || !mapping(wanted.apps)) {
    return 'apps has to be a mapping';
  }
  if (!Number.isInteger(wanted.expected) || !Number.isInteger(wanted.generation) || wanted.generation <= wanted.expected) {
    return 'expected and generation have to be whole numbers, the second the larger one';
  }
  return Object.keys(wanted.apps).map((app) => poolFault(app, wanted.apps[app])).find((wrong) => wrong) || '';
}

function poolFault(app, pool) {
  if (!NAME.test(app)) {
    return `'${app}' cannot be the name of an application`;
  }
  if (!mapping(pool) || COLOURS.indexOf(pool.live) < 0) {
    return `${app}: live has to be green or blue`;
  }
  const trial = pool.canary;
  if (trial === undefined || trial === null) {
    return '';
  }
  if (!mapping(trial) || !Number.isInteger(trial.weight) || trial.weight < 0 || trial.weight > 100) {
    return `${app}: weight has to be a whole number from 0 to 100`;
  }
  const cohort = trial.cohort || '';
  return typeof cohort === 'string' && COHORT.test(cohort) ? '' : `${app}: a cohort takes letters, digits, hyphens and underscores`;
}

function counters(r) {
  const apps = counted(r);
  Object.keys(apps).forEach((app) => {
    delete apps[app]['-'];
    if (!Object.keys(apps[app]).length) {
      delete apps[app];
    }
  });
  answer(r, 200, { bounds: BOUNDS, apps: apps });
}

function sessions(r) {
  const found = sessionsNow().filter((session) => session.app === r.args.app && session.colour === r.args.colour);
  answer(r, 200, found.map((session) => ({
    id: session.id,
    kind: session.kind,
    path: session.path,
    client: session.client,
    since: session.since,
  })));
}

export default { metrics, pools, counters, sessions };
