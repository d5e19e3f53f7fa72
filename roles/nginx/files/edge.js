// The edge: which colour of an application answers, who may look at the other one, and what is counted.
// What all workers share is in dictionaries of nginx; it outlives a reload, and after a start pools.json takes its place.

import crypto from 'crypto';

const COLOURS = ['green', 'blue'];
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const NAME = /^[a-z0-9][a-z0-9-]{0,30}$/;
const COHORT = /^[0-9A-Za-z_-]{0,64}$/;
const CANARY_COOKIE_SECONDS = 86400;
// Longer than any write takes; a lock that is older was left by a worker that died.
const LOCK_MILLISECONDS = 1000;

function other(colour) {
  return colour === 'green' ? 'blue' : 'green';
}

// --- the pools -------------------------------------------------------------------------------------------------------

// One text, so that one read is enough for a request: '17;nest=green;fastapi=blue/10/beta/16;' says that nest is green, and
// that fastapi is blue but for 10 percent of new visitors and the cohort beta, in a canary that began with generation 16.
function text() {
  return ngx.shared.pools.get('text') || written(durable.generation, durable.apps, '');
}

function written(generation, apps, before) {
  const entries = Object.keys(apps).sort().map((app) => {
    const canary = apps[app].canary;
    if (!canary) {
      return `${app}=${apps[app].live}`;
    }
    const began = entry(before, app).split('/')[3] || generation;
    return `${app}=${apps[app].live}/${canary.weight}/${canary.cohort || ''}/${began}`;
  });
  return [generation].concat(entries, ['']).join(';');
}

function entry(pools, app) {
  const start = pools.indexOf(`;${app}=`);
  if (start < 0) {
    return 'green';
  }
  const from = start + app.length + 2;
  return pools.slice(from, pools.indexOf(';', from));
}

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

// --- the choice ------------------------------------------------------------------------------------------------------

// Called once for each request to an application, before it is passed on.
function choose(r) {
  const app = r.variables.edge_app;
  const pool = entry(text(), app);
  let colour = pool;
  if (pool.length > 5) {
    colour = canary(r, app, pool.split('/'));
  }
  if (r.variables.edge_special) {
    colour = special(r, app, colour);
    if (colour === 'refused') {
      return colour;
    }
    if (r.variables.edge_kind) {
      remember(r, app, colour);
      return colour;
    }
  }
  ngx.shared.counts.incr(`started ${app} ${colour}`, 1);
  return colour;
}

function canary(r, app, values) {
  const live = values[0];
  const cohort = r.variables.http_x_protostar_cohort || r.variables.cookie_protostar_cohort;
  if (values[2] && cohort === values[2]) {
    return other(live);
  }
  const cookie = (r.variables[`cookie_protostar_${app}`] || '').split('-');
  let chosen = cookie[0] === values[3] ? cookie[1] : '';
  if (chosen !== 'in' && chosen !== 'out') {
    chosen = Math.random() * 100 < Number(values[1]) ? 'in' : 'out';
    r.variables.edge_cookie =
      `protostar_${app}=${values[3]}-${chosen}; Path=/; Max-Age=${CANARY_COOKIE_SECONDS}; HttpOnly; Secure; SameSite=Lax`;
  }
  return chosen === 'in' ? other(live) : live;
}

// A preview is answered by the colour that is not live, a probe by that of everybody; both are told which it was.
function special(r, app, colour) {
  const wanted = r.variables.http_x_protostar_preview || r.variables.cookie_protostar_preview;
  const secret = wanted || r.variables.http_x_protostar_probe;
  if (!secret) {
    return colour;
  }
  const known = crypto.createHash('sha256').update(secret).digest('hex') === preview.sha256;
  if (!known) {
    return 'refused';
  }
  const shown = wanted ? other(entry(text(), app).split('/')[0]) : colour;
  r.variables.edge_shown = shown;
  return shown;
}

// WebSockets and event streams last, and are told one by one when they are cut.
function remember(r, app, colour) {
  const session = {
    app: app,
    colour: colour,
    kind: r.variables.edge_kind,
    path: r.variables.request_uri.split('?')[0],
    client: r.variables.remote_addr,
    since: Date.now() / 1000,
  };
  try {
    ngx.shared.sessions.set(r.variables.request_id, JSON.stringify(session));
  } catch (error) {
    r.error(`protostar: a session is not counted: ${error}`);
  }
}

// --- the counts ------------------------------------------------------------------------------------------------------

// Called when a request is logged, so at its very end; returns the colour for the log.
function finish(r) {
  const app = r.variables.edge_app || r.variables.answered_by;
  const colour = r.variables.edge_app ? r.variables.edge_colour : '';
  if (colour === 'refused') {
    return '';
  }
  const kind = `${Math.floor(r.status / 100)}xx`;
  if (colour && r.variables.edge_kind) {
    ngx.shared.sessions.delete(r.variables.request_id);
    ngx.shared.counts.incr(`ended ${app} ${colour} ${kind}`, 1);
    return colour;
  }
  const seconds = Number(r.variables.request_time);
  let bucket = 0;
  while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]) {
    bucket += 1;
  }
  ngx.shared.counts.incr(`done ${app} ${colour || '-'} ${kind} ${bucket}`, 1);
  if (seconds > 0) {
    ngx.shared.counts.incr(`seconds ${app} ${colour || '-'}`, seconds);
  }
  return colour;
}

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
  const now = document(text());
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

function pools(r) {
  if (r.method === 'PUT') {
    put(r);
  } else {
    told(r);
  }
}

function told(r) {
  answer(r, 200, Object.assign(document(text()), { config: r.variables.edge_config }));
}

function put(r) {
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
  if (!locked()) {
    answer(r, 409, { error: 'another writer is at work', generation: document(text()).generation });
    return;
  }
  // Nothing in here waits, so that only another worker could come between, and the lock keeps that out.
  const before = text();
  const generation = document(before).generation;
  if (generation === wanted.expected) {
    ngx.shared.pools.set('text', written(wanted.generation, wanted.apps, before));
  }
  ngx.shared.pools.delete('lock');
  if (generation === wanted.expected) {
    told(r);
  } else {
    const error = `generation ${wanted.expected} was expected and ${generation} is in force`;
    answer(r, 409, { error: error, generation: generation });
  }
}

function locked() {
  const now = Date.now();
  if (ngx.shared.pools.add('lock', String(now))) {
    return true;
  }
  if (now - Number(ngx.shared.pools.get('lock') || now) < LOCK_MILLISECONDS) {
    return false;
  }
  ngx.shared.pools.delete('lock');
  return ngx.shared.pools.add('lock', String(now));
}

function fault(wanted) {
  if (wanted === null || typeof wanted !== 'object' || wanted.apps === null || typeof wanted.apps !== 'object') {
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
  if (pool === null || typeof pool !== 'object' || COLOURS.indexOf(pool.live) < 0) {
    return `${app}: live has to be green or blue`;
  }
  const trial = pool.canary;
  if (trial === undefined || trial === null) {
    return '';
  }
  if (!Number.isInteger(trial.weight) || trial.weight < 0 || trial.weight > 100) {
    return `${app}: weight has to be a whole number from 0 to 100`;
  }
  return COHORT.test(trial.cohort || '') ? '' : `${app}: a cohort takes letters, digits, hyphens and underscores`;
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

export default { choose, finish, metrics, pools, counters, sessions };
